// The report as text under its node.
import { app } from "../../scripts/app.js"
import { ComfyWidgets } from "../../scripts/widgets.js"

app.registerExtension({
  name: "Storefront.Report",
  nodeCreated(node) {
    if (node.comfyClass !== "StorefrontReport") return
    const { widget } = ComfyWidgets.STRING(node, "shown", ["STRING", { multiline: true }], app)
    widget.serialize = false // neither in the workflow
    widget.options.serialize = false // nor in the prompt
    if (widget.element) widget.element.readOnly = true
    const before = node.onExecuted
    node.onExecuted = function (output) {
      before?.apply(this, arguments)
      widget.value = output?.text?.[0] ?? ""
    }
  },
})
