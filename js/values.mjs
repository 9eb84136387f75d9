// The words of a list's values in the interface's language, from locales/LANGUAGE/nodeDefs.json: `options` of an input. What
// is stored and sent is the value itself.
import { api } from "../../scripts/api.js"
import { language } from "./defaults.mjs"

let tables = {} // language -> { nodeDefs: { NODE: { inputs: { NAME: { options: { VALUE: words } } } } } }

/** Read the words from the server, once. English needs none. */
export async function load() {
  if (language() === "en" || tables[language()]) return
  try {
    tables = await (await api.fetchApi("/i18n")).json()
  } catch {
    tables = {} // then the values are shown as they are
  }
}

/** The words for an input's values, or undefined where the language has none. */
export const wordsOf = (node, input) => tables[language()]?.nodeDefs?.[node]?.inputs?.[input]?.options

/** A value as it is shown. */
export const inWords = (node, input, value) => wordsOf(node, input)?.[value] ?? String(value ?? "")
