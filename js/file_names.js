// Tokens such as %date:yyyy-MM-dd% and %Node title.widget% in a file name become text when the prompt is queued, by the
// editor's own function, as in Save Image. Prompts from elsewhere: host/saving.py.
import { app } from "../../scripts/app.js"

app.registerExtension({
  name: "Storefront.FileNames",
  nodeCreated(node) {
    if (node.comfyClass !== "StorefrontSaveImage") return
    const widget = node.widgets?.find((w) => w.name === "filename")
    const fill = window.comfyAPI?.utils?.applyTextReplacements
    if (widget && fill) widget.serializeValue = () => fill(app, widget.value)
  },
})
