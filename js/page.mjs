// What the parts of the page have in common that are loaded on demand.
import { api } from "../../scripts/api.js"

/** The name of this pack's folder, which its user may have chosen. */
export const FOLDER = /\/extensions\/([^/]+)\//.exec(import.meta.url)?.[1]

export function made(tag, parent, text = "", properties = {}) {
  const element = Object.assign(document.createElement(tag), properties)
  if (text) element.textContent = text
  parent.append(element)
  return element
}

/** A sentence with its {0}, {1} … filled in. */
export const filled = (sentence, ...parts) => sentence.replace(/\{(\d)\}/g, (_, place) => String(parts[place]))

/** A server's answer as JSON, or null of an empty one. */
export async function asked(path, options) {
  const answer = await api.fetchApi(path, { cache: "no-store", ...options })
  if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`)
  const text = await answer.text()
  return text ? JSON.parse(text) : null
}
