// The side bar "Storefront": what the last runs took, what is loaded, which connections there are. Loaded when it is opened.
import { app } from "../../scripts/app.js"

const TITLE = "Storefront"
const TOOLTIP = {
  en: "Storefront: last runs, loaded models, connections",
  ko: "Storefront: 최근 실행, 올라온 모델, 연결",
  ja: "Storefront：最近の実行、読み込んだモデル、接続",
  zh: "Storefront：最近的运行、已加载的模型、连接",
}
const language = () => String(app.ui.settings.getSettingValue("Comfy.Locale") ?? "en").split("-")[0]

app.registerExtension({
  name: "Storefront.Panel",
  setup() {
    app.extensionManager.registerSidebarTab?.({
      id: "storefront",
      icon: "pi pi-chart-bar",
      title: TITLE,
      tooltip: TOOLTIP[language()] ?? TOOLTIP.en,
      type: "custom",
      render: async (place) => (await import("./panel_view.mjs")).show(place, language()),
    })
  },
})
