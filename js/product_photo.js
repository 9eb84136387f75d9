// Product Photo takes dropped and chosen files as Load Image does: by the editor's own upload widget, which it gives by
// itself to required inputs alone. Ours is optional, for prompts from before it existed.
import { app } from "../../scripts/app.js"

app.registerExtension({
  name: "Storefront.ProductPhoto",
  beforeRegisterNodeDef(nodeType, nodeData) {
    const [type, options] = (nodeData.name === "StorefrontExamplePhoto" && nodeData.input?.optional?.image) || []
    if (!type) return
    nodeData.input.optional.upload = ["IMAGEUPLOAD", { ...options, imageInputName: "image" }]
  },
})
