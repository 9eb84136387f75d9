// Rarely used widgets are behind a button in the classic renderer too. Nodes 2.0 has a button of its own for them; where it
// is on, nothing changes here. A widget with a link stays in sight.
import { app } from "../../scripts/app.js"

const LABELS = {
  en: ["More settings", "Fewer settings"],
  ko: ["설정 더 보기", "설정 접기"],
  ja: ["詳細設定を表示", "詳細設定を隠す"],
  zh: ["显示更多设置", "收起设置"],
}

function label(open) {
  const language = String(app.ui.settings.getSettingValue("Comfy.Locale") ?? "en").split("-")[0]
  return (LABELS[language] ?? LABELS.en)[open ? 1 : 0]
}

const isLinked = (node, widget) => node.inputs?.some((slot) => slot.widget?.name === widget.name && slot.link != null)

app.registerExtension({
  name: "Storefront.Advanced",
  nodeCreated(node) {
    if (!node.comfyClass?.startsWith("Storefront")) return
    const rare = (node.widgets ?? []).filter((widget) => widget.options?.advanced && !widget.hidden)
    if (!rare.length) return
    for (const widget of rare) {
      widget.advanced = false // the classic renderer would stop drawing it and keep its place
      Object.defineProperty(widget, "hidden", {
        configurable: true,
        enumerable: true,
        get: () => !node.showAdvanced && !isLinked(node, widget),
        set: () => {},
      })
    }
    const button = node.addWidget("button", "storefront_advanced", null, () => {
      node.showAdvanced = !node.showAdvanced
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
