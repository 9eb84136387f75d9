// Settings for what is new. They reach a node that a user adds, once, as if he had typed it: what he sees in the node is what
// runs. A graph that is opened, pasted or brought back by undo keeps its own values, whoever made it.
import { app } from "../../scripts/app.js"
import { chosen, FONT, give, INPUTS, language, MODEL, NOTES_LANGUAGE, notesLanguage, offered, OUTPUT_NAME, OWN, STYLE, TRADE, warn } from "./defaults.mjs"
import { inWords } from "./values.mjs"

const KEEP = "Node default"
const MISSING = { en: "missing", ko: "없음", ja: "なし", zh: "缺失" }
const HANGUL = /[\uac00-\ud7a3]/g
const LETTERS = /\p{L}/gu
let opening = 0 // files in API format that are being read: the editor adds their nodes one by one

/** What the server offers now, with the chosen value where that is gone: a list that hides it would seem to have none. */
function options(id) {
  const value = chosen(id) // not the one that the editor hands over: that is empty in some releases
  const [[type, name]] = Object.entries(INPUTS[id])
  const values = offered(window.LiteGraph?.registered_node_types?.[type]?.nodeData?.input, name)
  const list = [{ text: KEEP, value: OWN }, ...values.map((one) => ({ text: inWords(type, name, one), value: one }))]
  if (value !== null && list.every((one) => one.value !== value)) list.push({ text: `${MISSING[language()] ?? MISSING.en}: ${value}`, value })
  return list
}

function combo(id, sortOrder, name, tooltip) {
  const category = ["Storefront", "New nodes", name]
  return { id, name, tooltip, category, sortOrder, type: "combo", defaultValue: OWN, options: () => options(id) }
}

/** The widgets of a node that a setting is the default of: setting -> widget. */
function widgetsOf(node) {
  const found = Object.entries(INPUTS).map(([id, inputs]) => [id, inputs[node.comfyClass]])
  return found.filter(([, name]) => name).map(([id, name]) => [id, node.widgets?.find((widget) => widget.name === name)])
}

/** The paragraphs of a note in one language. The templates' notes are in English and Korean, one below the other. */
function paragraphs(text, korean) {
  const isKorean = (part) => (part.match(HANGUL)?.length ?? 0) > 0.3 * (part.match(LETTERS)?.length ?? 1)
  return text.split("\n\n").filter((part) => isKorean(part) === korean).join("\n\n")
}

/** A template's notes, titles and labels in the language of notes; it brings those in Japanese and Chinese beside the graph. */
function inOneLanguage(nodes, translations) {
  const chosenOne = notesLanguage()
  const korean = chosenOne === "ko"
  const { names = {}, notes = {} } = translations[chosenOne] ?? {}
  const nameOf = (text) => {
    const [english, own] = String(text).split(" · ")
    return own ? (korean ? own : (names[english] ?? english)) : text
  }
  for (const node of nodes) {
    if (typeof node.title === "string") node.title = nameOf(node.title)
    for (const slot of node.inputs ?? []) if (typeof slot.label === "string") slot.label = nameOf(slot.label)
    if (node.type !== "MarkdownNote" || typeof node.widgets_values?.[0] !== "string") continue
    const [whole] = node.widgets_values
    node.widgets_values[0] = notes[node.id] ?? (paragraphs(whole, korean) || whole)
  }
}

app.registerExtension({
  name: "Storefront.Defaults",
  settings: [
    combo(MODEL, 50, "Default model", "For new Load FLUX Model nodes. Open graphs keep their own."),
    combo(TRADE, 40, "Default trade", "For new Ad Prompt and Scene nodes, and for New advertisement."),
    combo(STYLE, 30, "Default style", "For new Ad Prompt and Style LoRA nodes."),
    combo(FONT, 20, "Default font", "For new Text Overlay, Badge and Call to Action nodes, and for New advertisement."),
    {
      id: OUTPUT_NAME,
      name: "Default output name",
      category: ["Storefront", "New nodes", "Default output name"],
      tooltip: "For new Save Image (Storefront) nodes, and for New advertisement. Empty: the node's own.",
      sortOrder: 10,
      type: "text",
      defaultValue: "",
    },
    {
      id: NOTES_LANGUAGE,
      name: "Language of notes",
      category: ["Storefront", "Notes", "Language of notes"],
      tooltip: "For notes in templates that you open from now on, and for the lines under nodes.",
      type: "combo",
      defaultValue: OWN,
      options: [
        { text: "As the interface", value: OWN },
        { text: "English", value: "en" },
        { text: "한국어", value: "ko" },
        { text: "日本語", value: "ja" },
        { text: "中文", value: "zh" },
      ],
    },
  ],
  init() {
    const load = app.loadApiJson
    app.loadApiJson = function (...values) {
      opening++
      let done
      try {
        done = load.apply(this, values)
      } finally {
        if (typeof done?.finally !== "function") opening--
      }
      return typeof done?.finally === "function" ? done.finally(() => opening--) : done
    }
  },
  beforeConfigureGraph(graph) {
    const translations = graph?.extra?.storefront_notes // a template's, which no saved graph keeps
    if (!translations) return
    delete graph.extra.storefront_notes
    inOneLanguage(graph.nodes ?? [], translations)
  },
  nodeCreated(node) {
    if (!widgetsOf(node).length) return
    const before = [] // [widget, value] as they were
    let settled = false // by its graph or by what is below: a node is new once
    const { onAdded, configure } = node
    node.onAdded = function (...values) {
      const answer = onAdded?.apply(this, values)
      if (!settled && !app.configuringGraph && !opening) {
        const known = widgetsOf(node).filter(([, widget]) => widget)
        before.push(...known.map(([, widget]) => [widget, widget.value]))
        const wrong = known.map(([id, widget]) => give(node, id, widget)).filter(Boolean)
        queueMicrotask(() => before.splice(0).length && wrong.forEach(warn))
      }
      settled = true
      return answer
    }
    node.configure = function (...values) {
      settled = true
      for (const [widget, value] of before.splice(0)) widget.value = value // added first, then read: it is not new
      return configure.apply(this, values)
    }
  },
})
