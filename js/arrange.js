// Arrange: a button in the node that opens the layout editor, and above it the layout as a small picture where the node is
// tall enough. What it shows comes from the `ui` of the nodes behind the layout (host/arranging.py); what is moved goes into
// the declared input `arrangement`.
import { app } from "../../scripts/app.js"
import { api } from "../../scripts/api.js"
import { language } from "./defaults.mjs"
import { nodeOf } from "./notes.js"
import { FOLDER } from "./page.mjs"

const NAME = "storefront_arrange"
const PLANS = ["StorefrontPlanLayout", "StorefrontEditLayout"]
const PARTS = { storefront_plan: "plan", storefront_products: "products", storefront_letters: "letters", storefront_overlay: "overlay" }
const LAYOUT = "STOREFRONT_LAYOUT"
const MOST_OUTPUTS = 200
const MOST_RUNS = 500
const EXAMPLE = "product_composite" // where no template of this name is
const LABELS = {
  en: ["Arrange", "Run once, then move things by hand"],
  ko: ["배치하기", "한 번 실행한 뒤 손으로 옮길 수 있습니다"],
  ja: ["配置する", "一度実行すると手で動かせます"],
  zh: ["调整布局", "运行一次后即可手动移动"],
}
const ROOMY = 120 // pixels high: from here on there is room for a picture above the button
const STYLE = `
  .${NAME} { display: flex; flex-direction: column; gap: 4px; width: 100%; min-height: 30px; box-sizing: border-box }
  .${NAME} canvas { flex: 1; min-height: 0; width: 100%; border-radius: 6px; object-fit: contain; background: var(--comfy-input-bg, #222);
    cursor: pointer }
  .${NAME} input { flex: none; height: 30px; border: 0; border-radius: 6px; cursor: pointer; font: inherit; font-size: 13px;
    background: var(--p-primary-color, #0b8ce9); color: var(--p-primary-contrast-color, #fff) }
  .${NAME} input:focus-visible { outline: 2px solid currentColor; outline-offset: -4px }`

const outputs = new Map() // graph and node -> the parts of its `ui`
const runs = new Map() // prompt -> the graph that it was made of: another one may be open when its outputs come
const waiting = new Map() // prompt -> its outputs, which came before the answer that names the prompt
const pictures = new Map() // node -> what draws its small picture anew
let editor = null // the one that is open,
let opened = "" // on this graph

const graphId = () => (app.rootGraph ?? app.graph)?.id ?? ""
const labels = () => LABELS[language()] ?? LABELS.en
const widgetOf = (node) => node.widgets?.find((widget) => widget.name === "arrangement")

function keep(map, key, value, most) {
  map.delete(key) // the latest last
  map.set(key, value)
  if (map.size > most) map.delete(map.keys().next().value)
}

/** The editor says which graph it queues, but not in the events of the run. */
function watchQueue() {
  const queue = api.queuePrompt
  api.queuePrompt = async function (number, data, ...rest) {
    const answer = await queue.call(this, number, data, ...rest)
    if (typeof answer?.prompt_id === "string") {
      keep(runs, answer.prompt_id, data?.workflow?.id ?? "", MOST_RUNS)
      for (const take of waiting.get(answer.prompt_id) ?? []) take()
      waiting.delete(answer.prompt_id)
    }
    return answer
  }
}

/** Calls `take` with the graph of a run: now, or once that is known. Not for a run of another window. */
function withGraph(prompt, take) {
  if (runs.has(prompt)) return take(runs.get(prompt))
  const before = waiting.get(prompt) ?? []
  keep(waiting, prompt, [...before, () => take(runs.get(prompt))], MOST_RUNS)
}

function remember(id, output, graph) {
  const names = Object.keys(PARTS).filter((name) => Array.isArray(output?.[name]))
  if (!names.length) return false
  const key = `${graph} ${id}`
  keep(outputs, key, Object.fromEntries(names.map((name) => [PARTS[name], output[name]])), MOST_OUTPUTS)
  return true
}

function outputOf(node) {
  const start = `${graphId()} `
  for (const [key, parts] of outputs) if (key.startsWith(start) && nodeOf(key.slice(start.length)) === node) return parts
  return {}
}

/** The nodes that a layout reaches, the nearest first. */
function behind(node) {
  const found = []
  const level = [node]
  while (level.length && found.length < 50) {
    const one = level.shift()
    const graph = one.graph
    for (const slot of one.outputs ?? []) {
      if (slot.type !== LAYOUT) continue
      for (const id of slot.links ?? []) {
        const link = graph.getLink?.(id) ?? graph.links?.get?.(id) ?? graph.links?.[id]
        const next = link && graph.getNodeById(link.target_id)
        if (next && !found.includes(next)) {
          found.push(next)
          level.push(next)
        }
      }
    }
  }
  return found
}

/** What the last run showed of a node's layout: {plan, products, letters, laid} of one of its pictures; null before. */
function partsOf(node, index = 0) {
  const plan = outputOf(node).plan
  if (!plan?.length) return null
  const after = behind(node).map(outputOf)
  const parsed = (list) => list && JSON.parse(list[Math.min(index, list.length - 1)])
  const all = (name) => after.map((parts) => parsed(parts[name])).filter(Boolean)
  const first = (list) => list.find((one) => one.follows) ?? list[0]
  const isFurther = (letters) => typeof letters.role === "string" && letters.role !== "headline"
  const laid = after.flatMap((parts) => [parsed(parts.overlay), parsed(parts.letters)].filter(Boolean))
  const at = Math.min(index, plan.length - 1)
  return {
    count: plan.length,
    index: at,
    plan: JSON.parse(plan[at]),
    products: first(all("products")),
    letters: first(all("letters").filter((one) => !isFurther(one))),
    laid: laid.filter((one) => isFurther(one)), // as they are drawn, one after the other
  }
}

/** The last run of this graph, from the server: after a page was opened anew. */
async function recall() {
  const graph = graphId()
  if (!graph) return
  const answer = await api.fetchApi("/history?max_items=16")
  const history = answer.ok ? await answer.json() : {}
  for (const entry of Object.values(history)) {
    if (entry?.prompt?.[3]?.extra_pnginfo?.workflow?.id !== graph) continue
    for (const [id, output] of Object.entries(entry.outputs ?? {})) remember(id, output, graph)
  }
}

/** Addresses of a picture to show before the first run: the template's own, else one of ours. */
function examples() {
  const name = String(app.extensionManager?.workflow?.activeWorkflow?.filename ?? "").replace(/\.(app\.)?json$/, "")
  return [name, EXAMPLE].filter(Boolean).map((one) => api.apiURL(`/workflow_templates/${FOLDER}/${encodeURIComponent(one)}.jpg`))
}

async function open(node) {
  const { LayoutEditor } = await import("./layout_editor.mjs")
  if (!partsOf(node)) await recall().catch(() => {})
  editor?.close()
  const id = node.id
  const graph = node.graph
  opened = graphId()
  // The graph may make the node anew, when something is undone.
  const current = () => graph.getNodeById?.(id) ?? node
  editor = new LayoutEditor({
    api,
    language: language(),
    parts: (index) => partsOf(current(), index),
    read: () => String(widgetOf(current())?.value ?? ""),
    write: (text) => set(current(), text),
    examples: examples(),
    run: () => app.queuePrompt(0, 1),
    closed: () => {
      editor = null
      drawSoon()
    },
  })
}

/** A value of the graph: saved, queued, and one step of its undo. */
function set(node, text) {
  const widget = widgetOf(node)
  if (!widget || widget.value === text) return
  widget.value = text
  widget.callback?.(text)
  const tracker = app.extensionManager?.workflow?.activeWorkflow?.changeTracker
  if (tracker?.captureCanvasState) tracker.captureCanvasState()
  else tracker?.checkState?.()
  drawSoon()
}

let isDrawing = false
function drawSoon() {
  if (isDrawing) return
  isDrawing = true
  setTimeout(() => {
    isDrawing = false
    for (const [node, draw] of pictures) {
      if (node.graph) draw()
      else pictures.delete(node)
    }
  }, 60)
}

function buttonOf(node) {
  const whole = document.createElement("div")
  whole.className = NAME
  const canvas = Object.assign(document.createElement("canvas"), { hidden: true })
  const button = Object.assign(document.createElement("input"), { type: "button", value: labels()[0], title: labels()[1] })
  whole.append(canvas, button)
  for (const event of ["pointerdown", "dblclick", "keydown"]) button.addEventListener(event, (e) => e.stopPropagation())
  button.addEventListener("click", () => open(node))
  canvas.addEventListener("click", () => open(node))
  const draw = async () => {
    const parts = whole.clientHeight >= ROOMY && partsOf(node)
    canvas.hidden = !parts
    if (!parts) return
    const [{ sceneOf, read }, { drawSmall }] = await Promise.all([import("./layout_scene.mjs"), import("./layout_pictures.mjs")])
    canvas.width = Math.min(1024, 2 * whole.clientWidth)
    canvas.height = Math.min(1024, 2 * (whole.clientHeight - 34))
    canvas.hidden = !(await drawSmall(canvas, api, sceneOf(parts), read(widgetOf(node)?.value)))
  }
  new ResizeObserver(draw).observe(whole)
  return { whole, draw }
}

app.registerExtension({
  name: "Storefront.Arrange",
  init() {
    document.head.append(Object.assign(document.createElement("style"), { textContent: STYLE }))
  },
  setup() {
    watchQueue()
    api.addEventListener("executed", ({ detail }) => {
      withGraph(detail?.prompt_id, (graph) => {
        if (!remember(detail.node, detail.output, graph)) return
        drawSoon()
        if (graph === opened) editor?.renewSoon()
      })
    })
    api.addEventListener("execution_success", ({ detail }) => {
      // A run that was queued before this page was opened: the server knows its graph, a moment later.
      if (!runs.has(detail?.prompt_id)) setTimeout(() => recall().then(() => editor?.renewSoon()).catch(() => {}), 500)
    })
    for (const event of ["execution_start", "execution_success", "execution_error", "execution_interrupted"]) {
      api.addEventListener(event, ({ detail }) => withGraph(detail?.prompt_id, (graph) => graph === opened && editor?.say(event)))
    }
  },
  nodeCreated(node) {
    if (!PLANS.includes(node.comfyClass)) return
    const { whole, draw } = buttonOf(node)
    const widget = node.addDOMWidget(NAME, NAME, whole, {
      getValue: () => "",
      setValue: () => {},
      getMinHeight: () => 30,
      getMaxHeight: () => 240,
      hideOnZoom: false,
      serialize: false, // neither in the prompt
    })
    widget.serialize = false // nor in the workflow
    widget.label = labels()[0]
    pictures.set(node, draw)
    const before = node.onConfigure
    node.onConfigure = function (...values) {
      const answer = before?.apply(this, values)
      drawSoon()
      return answer
    }
  },
})
