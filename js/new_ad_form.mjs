// The form behind "New advertisement…". What a person types and what the server says is text, never markup.
import { app } from "../../scripts/app.js"
import { chosen, FONT, give, gone, offered, OUTPUT_NAME, TRADE, warn } from "./defaults.mjs"
import { asked, filled, FOLDER, made } from "./page.mjs"
import { load, inWords } from "./values.mjs"

const TEMPLATE = "ad_from_photo"
const OWN_TOKENS = /[_-]?%(counter|format|seed)%/g // ComfyUI's Save Image, which the template has, does not fill these in
const TEXT = {
  en: {
    title: "New advertisement",
    photo: "Product photo",
    sentence: "What do you advertise?",
    hint: "Freshly brewed espresso, today only 1+1. Words in quotation marks become the headline.",
    trade: "Trade",
    format: "Format",
    auto: "chosen from the sentence",
    cancel: "Cancel",
    open: "Open",
    picture: "{0} is no picture. Choose a JPEG, PNG or WebP.",
    failed: "This did not work: {0}. Try again, or open the template ad_from_photo.",
  },
  ko: {
    title: "새 광고",
    photo: "상품 사진",
    sentence: "무엇을 광고하나요?",
    hint: "갓 내린 에스프레소, 오늘만 1+1. 따옴표 안의 말이 문구가 됩니다.",
    trade: "업종",
    format: "규격",
    auto: "문장을 보고 고르기",
    cancel: "취소",
    open: "열기",
    picture: "{0}은(는) 그림 파일이 아닙니다. JPEG, PNG, WebP를 고르세요.",
    failed: "되지 않았습니다: {0}. 다시 해 보거나 ad_from_photo 템플릿을 여세요.",
  },
  ja: {
    title: "新しい広告",
    photo: "商品写真",
    sentence: "何を宣伝しますか？",
    hint: "淹れたてのエスプレッソ、今日だけ1+1。引用符の中の言葉は見出しになります。",
    trade: "業種",
    format: "フォーマット",
    auto: "文から選ぶ",
    cancel: "キャンセル",
    open: "開く",
    picture: "{0}は画像ではありません。JPEG、PNG、WebPを選んでください。",
    failed: "できませんでした：{0}。もう一度試すか、テンプレートad_from_photoを開いてください。",
  },
  zh: {
    title: "新建广告",
    photo: "商品照片",
    sentence: "要宣传什么？",
    hint: "现煮浓缩咖啡，今天 1+1。引号中的文字会成为标题文案。",
    trade: "行业",
    format: "规格",
    auto: "根据文字选择",
    cancel: "取消",
    open: "打开",
    picture: "{0} 不是图像。请选择 JPEG、PNG 或 WebP。",
    failed: "没有成功：{0}。请重试，或打开模板 ad_from_photo。",
  },
}
// Under an open window of the editor the page takes no pointer: this one does.
const STYLE = `
  .storefront-new { pointer-events: auto; width: min(460px, 92vw); padding: 20px; border: 1px solid #50535a; border-radius: 12px; background: #26282c;
    color: #eee; font: 14px/1.4 system-ui, sans-serif; color-scheme: dark }
  .storefront-new::backdrop { background: #000a }
  .storefront-new form, .storefront-new label { display: flex; flex-direction: column; gap: 6px }
  .storefront-new form { gap: 14px }
  .storefront-new h2 { margin: 0; font-size: 17px }
  .storefront-new :is(input, textarea, select) { width: 100%; box-sizing: border-box; padding: 8px; border: 1px solid #6b6f78;
    border-radius: 8px; background: #1b1c1f; color: #fff; font: inherit }
  .storefront-new .buttons { display: flex; gap: 8px; justify-content: flex-end }
  .storefront-new button { min-height: 36px; padding: 0 16px; border: 1px solid #50535a; border-radius: 8px; background: #33363c;
    color: #fff; font: inherit; cursor: pointer }
  .storefront-new button[type=submit] { background: #0a6ec2; border-color: #0a6ec2 }
  .storefront-new :focus-visible { outline: 2px solid #6cc1ff; outline-offset: 2px }
  .storefront-new [role=alert] { margin: 0; color: #ffb4a8 }
  .storefront-new [role=alert]:empty { display: none }`

function field(form, tag, label, properties) {
  const line = made("label", form)
  made("span", line, label)
  return made(tag, line, "", { required: true, ...properties })
}

async function uploaded(file) {
  const body = new FormData()
  body.append("image", file)
  const { name, subfolder } = await asked("/upload/image", { method: "POST", body })
  return subfolder ? `${subfolder}/${name}` : name
}

const firstOf = (type) => (app.rootGraph ?? app.graph)._nodes.find((one) => one.type === type)

function put(type, name, value) {
  const node = firstOf(type)
  const widget = node.widgets.find((one) => one.name === name)
  const values = widget.options?.values
  if (Array.isArray(values) && !values.includes(value)) values.push(value) // a photo that has just come
  widget.value = value
  widget.callback?.(value, app.canvas, node)
}

async function open({ photo, sentence, trade, format }) {
  const file = await uploaded(photo)
  const graph = await asked(`/workflow_templates/${FOLDER}/${TEMPLATE}.json`)
  await app.loadGraphData(graph, true, true, TEMPLATE)
  put("StorefrontExamplePhoto", "image", file)
  put("PrimitiveStringMultiline", "value", sentence)
  put("StorefrontScene", "trade", trade)
  put("StorefrontScene", "format", format)
  const letters = firstOf("StorefrontTextOverlay")
  const wrong = give(letters, FONT, letters.widgets.find((one) => one.name === "font"))
  if (wrong) warn(wrong)
  const name = chosen(OUTPUT_NAME)?.replace(OWN_TOKENS, "")
  if (name) put("SaveImage", "filename_prefix", name)
  app.graph.setDirtyCanvas(true, true)
}

/** Show the form. */
export async function ask(language) {
  document.querySelector("dialog.storefront-new")?.remove()
  const say = TEXT[language] ?? TEXT.en
  const dialog = made("dialog", document.body, "", { className: "storefront-new" })
  made("style", dialog, STYLE)
  const form = made("form", dialog)
  const title = made("h2", form, say.title, { id: "storefront-new-title" })
  dialog.setAttribute("aria-labelledby", title.id)
  const photo = field(form, "input", say.photo, { type: "file", accept: "image/*", name: "photo" })
  const sentence = field(form, "textarea", say.sentence, { name: "sentence", rows: 3, placeholder: say.hint, maxLength: 2000 })
  const trade = field(form, "select", say.trade, { name: "trade" })
  const format = field(form, "select", say.format, { name: "format" })
  const problem = made("p", form)
  problem.setAttribute("role", "alert")
  const buttons = made("div", form, "", { className: "buttons" })
  const cancel = made("button", buttons, say.cancel, { type: "button" })
  const submit = made("button", buttons, say.open, { type: "submit" })
  const failed = (error) => (problem.textContent = filled(say.failed, error.message))

  for (const event of ["keydown", "keyup", "paste", "drop"]) dialog.addEventListener(event, (e) => e.stopPropagation()) // the graph's
  cancel.addEventListener("click", () => dialog.close())
  dialog.addEventListener("close", () => dialog.remove())
  photo.addEventListener("change", () => {
    const wrong = photo.files[0] && !photo.files[0].type.startsWith("image/")
    problem.textContent = wrong ? filled(say.picture, photo.files[0].name) : ""
    if (wrong) photo.value = ""
  })
  form.addEventListener("submit", async (event) => {
    event.preventDefault()
    submit.disabled = true
    problem.textContent = ""
    try {
      const wanted = { photo: photo.files[0], sentence: sentence.value, trade: trade.value, format: format.value }
      await open(wanted)
      dialog.close()
    } catch (error) {
      failed(error)
    } finally {
      submit.disabled = false
    }
  })
  dialog.showModal()
  try {
    await load()
    const { input } = (await asked("/object_info/StorefrontScene")).StorefrontScene
    for (const [list, name] of [[trade, "trade"], [format, "format"]]) {
      for (const value of offered(input, name)) {
        made("option", list, value === "auto" ? say.auto : inWords("StorefrontScene", name, value), { value })
      }
    }
    const usual = chosen(TRADE)
    if (usual !== null && offered(input, "trade").includes(usual)) trade.value = usual
    else if (usual !== null) problem.textContent = gone(usual, trade.value)
  } catch (error) {
    failed(error)
  }
}
