// The panel "Storefront": what the last runs took, what is loaded, which connections there are. A tab of the bottom panel:
// a tenth icon in the side bar would give it a scroll bar on a small screen. Its view is loaded when it is opened.
import { app } from "../../scripts/app.js"
import { language } from "./defaults.mjs"
import { record } from "./runs.mjs"

const LABEL = {
  en: "Storefront: last runs, loaded models, connections",
  ko: "Storefront: 최근 실행, 올라온 모델, 연결",
  ja: "Storefront：最近の実行、読み込んだモデル、接続",
  zh: "Storefront：最近的运行、已加载的模型、连接",
}
const ID = "Storefront.Panel"
const TAB = "storefront"

app.registerExtension({
  name: ID,
  setup: record,
  bottomPanelTabs: [
    {
      id: TAB,
      title: "Storefront",
      type: "custom",
      render: async (place) => (await import("./panel_view.mjs")).show(place, language()),
    },
  ],
  commands: [
    {
      id: ID,
      icon: "pi pi-chart-bar",
      label: () => LABEL[language()] ?? LABEL.en,
      // The editor makes a command for each tab of its bottom panel.
      function: () => app.extensionManager.command.execute(`Workspace.ToggleBottomPanelTab.${TAB}`),
    },
  ],
  menuCommands: [{ path: ["View"], commands: [ID] }],
})
