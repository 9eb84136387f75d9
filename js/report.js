// The report as text under its node.
import { app } from "../../scripts/app.js"

app.registerExtension({
  name: "Storefront.Report",
  nodeCreated(node) {
    if (node.comfyClass !== "StorefrontReport") return
    const text = document.createElement("textarea")
    text.className = "comfy-multiline-input"
    text.readOnly = true
    const widget = node.addDOMWidget("shown", "customtext", text, {
      getValue: () => text.value,
      setValue: (value) => (text.value = value),
      serialize: false, // neither in the prompt
    })
    widget.serialize = false // nor in the workflow
    const before = node.onExecuted
    node.onExecuted = function (output) {
      before?.apply(this, arguments)
      widget.value = output?.text?.[0] ?? ""
    }
  },
})
