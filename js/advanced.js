// Rarely used widgets are behind a button in the classic renderer too. Nodes 2.0 has a button of its own for them; where it
// is on, nothing changes here. A widget with a link stays in sight.
import { app } from "../../scripts/app.js"
import { language } from "./defaults.mjs"

const LABELS = {
  en: ["More settings", "Fewer settings"],
  ko: ["설정 더 보기", "설정 접기"],
  ja: ["詳細設定を表示", "詳細設定を隠す"],
  zh: ["显示更多设置", "收起设置"],
}

function label(open) {
  return (LABELS[language()] ?? LABELS.en)[open ? 1 : 0]
}

const isLinked = (node, widget) => node.inputs?.some((slot) => slot.widget?.name === widget.name && slot.link != null)

// Front-end 1.58 keeps a state for each surface: the canvas alone is ours, Nodes 2.0 and the panel have their own button.
const surfacesOf = (widget) => widget.visibility?.surfaces

function setShown(widget, shown) {
  const surfaces = surfacesOf(widget)
  if (surfaces) surfaces.canvas = shown ? "shown" : "never"
}

// Earlier front-ends read `hidden`; `advanced` would stop drawing the widget and keep its place.
function hideUnless(widget, isShown) {
  widget.advanced = false
  Object.defineProperty(widget, "hidden", { configurable: true, enumerable: true, get: () => !isShown(), set: () => {} })
}

app.registerExtension({
  name: "Storefront.Advanced",
  nodeCreated(node) {
    if (!node.comfyClass?.startsWith("Storefront")) return
    const rare = (node.widgets ?? []).filter((widget) => widget.options?.advanced && !widget.hidden)
    if (!rare.length) return
    const arrange = () => {
      for (const widget of rare) setShown(widget, node.showAdvanced || isLinked(node, widget))
    }
    for (const widget of rare) if (!surfacesOf(widget)) hideUnless(widget, () => node.showAdvanced || isLinked(node, widget))
    // The editor moves a widget's visibility into its store when the node joins a graph, and derives it anew when one is read.
    for (const event of ["onAdded", "onConfigure", "onConnectionsChange"]) {
      const before = node[event]
      node[event] = function (...values) {
        const answer = before?.apply(this, values)
        arrange()
        return answer
      }
    }
    arrange()
    const button = node.addWidget("button", "storefront_advanced", null, () => {
      node.showAdvanced = !node.showAdvanced
      arrange()
      button.label = label(node.showAdvanced)
      node.setSize([node.size[0], node.computeSize()[1]])
      node.setDirtyCanvas(true, true)
    })
    button.label = label(false)
    button.serialize = false // neither in the workflow
    Object.assign(button.options, { serialize: false, canvasOnly: true }) // nor in the prompt, nor in Nodes 2.0
    node.setSize([node.size[0], node.computeSize()[1]])
  },
})
