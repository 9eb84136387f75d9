// What a user has chosen in ComfyUI's settings, Storefront, for what is new: nodes that are added, and "New advertisement…".
import { app } from "../../scripts/app.js"
import { filled } from "./page.mjs"

/** The value of a setting that leaves nodes as they are. */
export const OWN = "(the node's own)"
export const MODEL = "Storefront.Model"
export const TRADE = "Storefront.Trade"
export const STYLE = "Storefront.Style"
export const FONT = "Storefront.Font"
export const OUTPUT_NAME = "Storefront.OutputName"
export const NOTES_LANGUAGE = "Storefront.NotesLanguage"

/** The inputs that a setting is the default of: node -> input. The first one's options are the setting's. */
export const INPUTS = {
  [MODEL]: { StorefrontLoadModel: "model" },
  [TRADE]: { StorefrontScene: "trade", StorefrontAdPrompt: "trade" },
  [STYLE]: { StorefrontAdPrompt: "style", StorefrontStyleLora: "style" },
  [FONT]: { StorefrontTextOverlay: "font", StorefrontBadge: "font", StorefrontCallToAction: "font" },
  [OUTPUT_NAME]: { StorefrontSaveImage: "filename" },
}
const GONE = {
  en: "“{0}”, your default in Settings › Storefront, is not on this server. {1} is used instead.",
  ko: "설정 › Storefront에서 기본값으로 고른 “{0}”이(가) 이 서버에 없습니다. 대신 {1}을(를) 씁니다.",
  ja: "設定 › Storefrontで既定値に選んだ「{0}」はこのサーバーにありません。代わりに{1}を使います。",
  zh: "您在设置 › Storefront 中选择的默认值“{0}”不在此服务器上，改用 {1}。",
}

export const language = () => String(app.ui.settings.getSettingValue("Comfy.Locale") ?? "en").split("-")[0]

/** What a user has chosen, or null: nothing, or a value that is no text. */
export function chosen(id) {
  const value = app.ui.settings.getSettingValue(id)
  return typeof value === "string" && value.trim() && value !== OWN ? value : null
}

/** The language of notes, in templates and under nodes: the chosen one, or the interface's. */
export const notesLanguage = () => chosen(NOTES_LANGUAGE) ?? language()

/** What a combo of a node offers, as the server says; ComfyUI has written it in two ways. */
export function offered(inputs, name) {
  const [kind, options] = { ...inputs?.required, ...inputs?.optional }[name] ?? []
  return Array.isArray(kind) ? kind : (options?.options ?? [])
}

/** That a default is not on this server, and what is used in its place. */
export const gone = (value, instead) => filled(GONE[language()] ?? GONE.en, value, instead)

/**
 * Give a widget what the user has chosen for it. What is wrong with that (a sentence), or null. The widget keeps its own
 * value where the server does not offer the chosen one.
 */
export function give(node, id, widget) {
  const value = chosen(id)
  if (value === null || !widget) return null
  const { values } = widget.options ?? {}
  const options = typeof values === "function" ? values(widget, node) : values
  if (Array.isArray(options) && !options.includes(value)) return gone(value, widget.value)
  widget.value = value
  widget.callback?.(value, app.canvas, node)
  return null
}

/** Say a sentence above the graph. */
export function warn(detail) {
  app.extensionManager.toast.add({ severity: "warn", summary: "Storefront", detail, life: 12000 })
}
