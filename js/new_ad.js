// The command "New advertisement…": asks for photo, sentence, trade and format, and opens the template filled in. The form
// is loaded when somebody asks for it.
import { app } from "../../scripts/app.js"
import { language } from "./defaults.mjs"

const LABEL = { en: "New advertisement…", ko: "새 광고…", ja: "新しい広告…", zh: "新建广告…" }
const ID = "Storefront.NewAdvertisement"

app.registerExtension({
  name: ID,
  commands: [
    {
      id: ID,
      icon: "pi pi-megaphone",
      label: () => LABEL[language()] ?? LABEL.en,
      function: async () => (await import("./new_ad_form.mjs")).ask(language()),
    },
  ],
  menuCommands: [{ path: ["File"], commands: [ID] }],
})
