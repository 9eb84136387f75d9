// A template that is opened while an app is shown has no size to be fitted to: the editor scales its graph to 0, and whoever
// turns the app to its graph sees nothing. It is fitted again once there is a size.
import { app } from "../../scripts/app.js"

app.registerExtension({
  name: "Storefront.GraphInSight",
  setup() {
    const canvas = app.canvas?.canvas
    if (!canvas) return
    new ResizeObserver(() => {
      const { ds } = app.canvas
      if (!canvas.clientWidth || !canvas.clientHeight || ds.scale > 0) return
      ds.scale = 1 // fitting begins with what is there
      ds.offset[0] = ds.offset[1] = 0
      requestAnimationFrame(() => app.extensionManager.command.execute("Comfy.Canvas.FitView"))
    }).observe(canvas)
  },
})
