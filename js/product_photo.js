// Product Photo takes dropped and chosen files as Load Image does: by the editor's own upload widget, which it gives by
// itself to required inputs alone. Ours is optional, for prompts from before it existed. In App mode, where the editor
// has a drop zone for Load Image alone, it has one of its own: the photo, to drop another on or to press.
import { app } from "../../scripts/app.js"
import { api } from "../../scripts/api.js"
import { language } from "./defaults.mjs"

const NAME = "storefront_drop"
const TEXT = {
  en: ["Photo", "Drop a photo here, or press to choose one"],
  ko: ["사진", "사진을 여기에 끌어다 놓거나 눌러서 고르세요"],
  ja: ["写真", "写真をここにドロップするか、押して選択"],
  zh: ["照片", "将照片拖到此处，或点按选择"],
}
// In the graph the node shows its photo itself.
const STYLE = `
  .${NAME} { display: none }
  :is([data-testid="linear-widgets"], [data-testid="linear-mobile"]) .${NAME} {
    display: flex; flex-direction: column; align-items: center; gap: 6px; width: 100%; min-height: 150px; padding: 8px;
    box-sizing: border-box; border: 1px dashed var(--border-color, #888); border-radius: 8px; cursor: pointer;
    background: transparent; color: inherit; font: inherit; font-size: 12px }
  .${NAME}:focus-visible { outline: 2px solid currentColor }
  .${NAME}.over { border-style: solid; background: var(--comfy-input-bg, #333) }
  .${NAME} img { flex: 1; min-height: 0; max-width: 100%; max-height: 180px; object-fit: contain; pointer-events: none }`

const find = (node, name) => node.widgets?.find((widget) => widget.name === name)

const texts = () => TEXT[language()] ?? TEXT.en

/** Where the server shows a file of the input folder, which may be in a folder there. */
function address(file) {
  const parts = String(file).split("/")
  const filename = parts.pop()
  return api.apiURL(`/view?${new URLSearchParams({ type: "input", subfolder: parts.join("/"), filename })}`)
}

function dropZone(node) {
  const zone = document.createElement("button")
  const picture = document.createElement("img")
  const line = document.createElement("span")
  Object.assign(zone, { type: "button", className: NAME })
  picture.alt = ""
  line.textContent = texts()[1]
  zone.append(picture, line)
  const over = (event) => {
    event.preventDefault()
    event.stopPropagation()
    zone.classList.add("over")
  }
  zone.addEventListener("dragover", over)
  zone.addEventListener("dragleave", () => zone.classList.remove("over"))
  zone.addEventListener("drop", (event) => {
    event.preventDefault()
    event.stopPropagation()
    zone.classList.remove("over")
    node.onDragDrop?.(event)
  })
  zone.addEventListener("click", () => find(node, "upload")?.callback?.())
  zone.addEventListener("keydown", (event) => event.stopPropagation()) // or the editor takes keys for shortcuts
  const show = () => {
    const file = find(node, "image")?.value
    if (file) picture.src = address(file)
  }
  return { zone, show }
}

app.registerExtension({
  name: "Storefront.ProductPhoto",
  init() {
    document.head.append(Object.assign(document.createElement("style"), { textContent: STYLE }))
  },
  beforeRegisterNodeDef(nodeType, nodeData) {
    const [type, options] = (nodeData.name === "StorefrontExamplePhoto" && nodeData.input?.optional?.image) || []
    if (!type) return
    nodeData.input.optional.upload = ["IMAGEUPLOAD", { ...options, imageInputName: "image" }]
  },
  nodeCreated(node) {
    const image = node.comfyClass === "StorefrontExamplePhoto" && find(node, "image")
    if (!image) return
    const { zone, show } = dropZone(node)
    const nothing = { getValue: () => "", setValue: () => {}, getMinHeight: () => 0, getMaxHeight: () => 0, margin: 0 }
    const widget = node.addDOMWidget(NAME, NAME, zone, { ...nothing, serialize: false }) // not in the prompt
    widget.serialize = false // nor in the workflow
    widget.label = texts()[0]
    for (const [owner, event] of [[image, "callback"], [node, "onConfigure"]]) {
      const before = owner[event]
      owner[event] = function (...values) {
        const answer = before?.apply(this, values)
        show()
        return answer
      }
    }
    show()
  },
})
