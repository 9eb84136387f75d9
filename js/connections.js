// ComfyUI's settings, Storefront: the connections. Their page is loaded when it is shown.
import { app } from "../../scripts/app.js"

app.registerExtension({
  name: "Storefront.Connections",
  settings: [
    {
      id: "Storefront.Connections",
      name: "Servers",
      category: ["Storefront", "Connections", "Servers"],
      tooltip: "For prompts (OpenAI-compatible) and for pictures (Triton). The key goes to the server's own file and is never shown again.",
      type: () => {
        const place = document.createElement("div")
        import("./connections_page.mjs").then((page) => page.show(place))
        return place
      },
      defaultValue: null,
    },
  ],
})
