// What a node has to say (licence, reasons, what was cut) stays under it after the run, as text and never as markup. The
// editor's own progress text is cleared at the end of a run since 1.58, and read as HTML.
import { app } from "../../scripts/app.js"
import { api } from "../../scripts/api.js"
import { NOTES_LANGUAGE, notesLanguage } from "./defaults.mjs"

const NAME = "storefront_note"
let spoken // the client's id that the server has heard a language for

/** The node that a run calls `id`: "5:11" is node 11 in the subgraph of node 5. */
export function nodeOf(id) {
  let graph = app.rootGraph ?? app.graph
  let node = null
  for (const part of String(id).split(":")) {
    // a node in a subgraph is named by the ids on the way to it
    node = graph?.getNodeById?.(Number(part)) ?? graph?.getNodeById?.(part)
    graph = node?.subgraph
  }
  return node
}

function widgetOf(node) {
  const known = node.widgets?.find((widget) => widget.name === NAME)
  if (known) return known
  const line = document.createElement("div")
  line.setAttribute("role", "status")
  line.style.cssText =
    "box-sizing:border-box; min-height:44px; max-height:90px; padding:2px 4px; overflow:auto; white-space:pre-wrap; user-select:text; " +
    "font-size:11px; line-height:1.35; color:var(--descrip-text, #aaa)"
  for (const event of ["pointerdown", "keydown"]) line.addEventListener(event, (e) => e.stopPropagation())
  const widget = node.addDOMWidget(NAME, NAME, line, {
    getValue: () => line.textContent,
    setValue: (text) => (line.textContent = text),
    getMinHeight: () => 44,
    getMaxHeight: () => 90,
    serialize: false, // neither in the prompt
  })
  widget.serialize = false // nor in the workflow
  node.setSize([node.size[0], Math.max(node.size[1], node.computeSize()[1])])
  return widget
}

app.registerExtension({
  name: "Storefront.Notes",
  setup() {
    // The server writes notes and errors in the language of notes of the editor that queued the prompt.
    const speak = (anew) => {
      if (!api.clientId || (api.clientId === spoken && !anew)) return
      spoken = api.clientId
      const body = JSON.stringify({ client_id: spoken, language: notesLanguage() })
      api.fetchApi("/storefront/language", { method: "POST", headers: { "Content-Type": "application/json" }, body })
    }
    speak()
    api.addEventListener("status", () => speak()) // the first one brings the client's id
    api.addEventListener("reconnected", () => speak(true)) // to a server that has started anew and heard of nobody
    for (const id of ["Comfy.Locale", NOTES_LANGUAGE]) app.ui.settings.addEventListener?.(`${id}.change`, () => speak(true))
    api.addEventListener("storefront.note", ({ detail }) => {
      const node = nodeOf(detail?.node)
      if (!node || typeof detail.text !== "string") return
      widgetOf(node).value = detail.text
      node.setDirtyCanvas?.(true, true)
    })
  },
})
