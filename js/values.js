// Lists show their values in the interface's language. No editor translates values by itself; each has a hook for other
// words: `getOptionLabel` (the canvas, and Nodes 2.0 since 1.49) and `optionLabel` (Nodes 2.0 of 1.42).
import { app } from "../../scripts/app.js"
import { load, inWords, wordsOf } from "./values.mjs"

app.registerExtension({
  name: "Storefront.Values",
  async init() {
    await load()
    app.ui.settings.addEventListener?.("Comfy.Locale.change", load)
  },
  nodeCreated(node) {
    if (!node.comfyClass?.startsWith("Storefront")) return
    for (const widget of node.widgets ?? []) {
      if (widget.type !== "combo" || !widget.options) continue
      const label = (value) => inWords(node.comfyClass, widget.name, value)
      // Asked anew each time: where there are no words, a list keeps the editor's own menu, which can be searched.
      const get = () => (wordsOf(node.comfyClass, widget.name) ? label : undefined)
      for (const hook of ["getOptionLabel", "optionLabel"]) {
        Object.defineProperty(widget.options, hook, { configurable: true, enumerable: true, get })
      }
    }
  },
})
