// The page of connections in ComfyUI's settings: those there are, with Check, Edit and Delete, and a form for one. They are
// written to the server's own file and never into ComfyUI's settings: those are readable by every page of this server, and
// a key must not be. No key comes back.
import { ask, checker, known, pathOf } from "./connections_known.mjs"
import { language } from "./defaults.mjs"
import { filled, made } from "./page.mjs"

const TEXT = {
  en: {
    kind: "Kind", chat: "Language model", triton: "Triton server",
    name: "Name", address: "Address", model: "Model", key: "Key", seconds: "Seconds to wait for an answer",
    nearby: "On this machine or in its network", token: "Owner's token", several: "Several servers of the same model: one address a line", kept: "Kept while the address is the same",
    save: "Save", cancel: "Cancel", edit: "Edit", remove: "Delete", sure: "Delete for good?",
    fresh: "New connection", changed: "Change {0}", none: "No connection yet.",
    hasKey: "with a key", noKey: "without a key", saved: "Saved. Press R in the editor to see it in the nodes.",
    removed: "Removed.",
    elsewhere: "This page is open on another machine than ComfyUI's. Enter the owner's token: the text of user/__storefront/owner_token.txt on the server.",
  },
  ko: {
    kind: "종류", chat: "언어 모델", triton: "Triton 서버",
    name: "이름", address: "주소", model: "모델", key: "키", seconds: "응답을 기다리는 시간(초)",
    nearby: "이 컴퓨터나 같은 네트워크에 있음", token: "소유자 토큰", several: "같은 모델의 서버가 여럿이면 한 줄에 주소 하나", kept: "주소가 같으면 그대로 둡니다",
    save: "저장", cancel: "취소", edit: "고치기", remove: "삭제", sure: "정말 삭제할까요?",
    fresh: "새 연결", changed: "{0} 고치기", none: "아직 연결이 없습니다.",
    hasKey: "키 있음", noKey: "키 없음", saved: "저장했습니다. 편집기에서 R을 누르면 노드에 나타납니다.",
    removed: "삭제했습니다.",
    elsewhere: "이 페이지는 ComfyUI와 다른 컴퓨터에서 열려 있습니다. 소유자 토큰을 넣으세요. 서버의 user/__storefront/owner_token.txt에 있는 글입니다.",
  },
  ja: {
    kind: "種類", chat: "言語モデル", triton: "Tritonサーバー",
    name: "名前", address: "アドレス", model: "モデル", key: "キー", seconds: "応答を待つ秒数",
    nearby: "このコンピューターか同じネットワークにある", token: "所有者のトークン", several: "同じモデルのサーバーが複数あれば、1行に1つのアドレス", kept: "アドレスが同じなら変わりません",
    save: "保存", cancel: "キャンセル", edit: "編集", remove: "削除", sure: "本当に削除しますか？",
    fresh: "新しい接続", changed: "{0}の編集", none: "接続はまだありません。",
    hasKey: "キーあり", noKey: "キーなし", saved: "保存しました。エディタでRを押すとノードに現れます。",
    removed: "削除しました。",
    elsewhere: "このページはComfyUIとは別のコンピューターで開かれています。所有者のトークン（サーバーのuser/__storefront/owner_token.txtの文字列）を入力してください。",
  },
  zh: {
    kind: "种类", chat: "语言模型", triton: "Triton 服务器",
    name: "名称", address: "地址", model: "模型", key: "密钥", seconds: "等待响应的秒数",
    nearby: "在此计算机或其网络中", token: "所有者令牌", several: "同一模型的多台服务器：每行一个地址", kept: "地址不变则保留",
    save: "保存", cancel: "取消", edit: "编辑", remove: "删除", sure: "确定删除？",
    fresh: "新连接", changed: "编辑 {0}", none: "还没有连接。",
    hasKey: "有密钥", noKey: "无密钥", saved: "已保存。在编辑器中按 R 即可在节点中看到。",
    removed: "已删除。",
    elsewhere: "此页面是在 ComfyUI 以外的计算机上打开的。请输入所有者令牌，即服务器上 user/__storefront/owner_token.txt 中的文本。",
  },
}
const STYLE = `
  .storefront-page { display: flex; flex-direction: column; gap: 14px; width: 460px; max-width: 80vw; font-size: 14px }
  .storefront-page ul { display: flex; flex-direction: column; gap: 8px; margin: 0; padding: 0; list-style: none }
  .storefront-page li { display: flex; flex-wrap: wrap; gap: 6px; align-items: center; padding: 8px 10px;
    border: 1px solid var(--border-color); border-radius: 8px }
  .storefront-page li div { flex: 1 1 200px; min-width: 0; overflow-wrap: anywhere }
  .storefront-page small { display: block; color: var(--descrip-text, #999) }
  .storefront-page small.yes { color: #6fcf7f }
  .storefront-page small.no { color: #ffb4a8 }
  .storefront-page form { display: flex; flex-direction: column; gap: 8px }
  .storefront-page h4 { margin: 4px 0 0; font-size: 14px; font-weight: 600 }
  .storefront-page label { display: flex; justify-content: space-between; align-items: center; gap: 12px }
  .storefront-page label[hidden], .storefront-page button[hidden] { display: none }
  .storefront-page :is(input:not([type=checkbox]), select, textarea) { flex: none; box-sizing: border-box; width: 270px; padding: 4px 8px; border: 1px solid var(--border-color); border-radius: 6px;
    background: var(--comfy-input-bg); color: var(--input-text) }
  .storefront-page textarea { resize: vertical; font: inherit }
  .storefront-page input[readonly] { opacity: 0.6 }
  .storefront-page .buttons { display: flex; gap: 8px; justify-content: flex-end; align-items: center }
  .storefront-page .buttons span { flex: 1; font-size: 0.9em }
  .storefront-page button { min-height: 30px; padding: 0 12px; border: 1px solid var(--border-color); border-radius: 6px;
    background: var(--comfy-input-bg); color: var(--input-text); cursor: pointer }
  .storefront-page :focus-visible { outline: 2px solid #6cc1ff; outline-offset: 2px }`
const KINDS = ["chat", "triton"]
const SURE = 5000 // milliseconds in which a second press deletes

function field(form, label, properties) {
  const line = made("label", form, label)
  return made("input", line, "", { type: "text", autocomplete: "off", spellcheck: false, ...properties })
}

/** One address, or several of Triton servers: a line each. Enter sends the form where there is one line. */
function addresses(form, say) {
  const line = made("label", form, say.address)
  const area = made("textarea", line, "", { name: "base_url", autocomplete: "off", spellcheck: false, required: true })
  area.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || area.rows > 1 || event.isComposing) return
    event.preventDefault()
    form.requestSubmit()
  })
  return area
}

function choice(form, label, name, say) {
  const select = made("select", made("label", form, label), "", { name })
  for (const kind of KINDS) made("option", select, say[kind], { value: kind })
  return select
}

/** What a kind of server asks for: a Triton server has one model. */
function adapt({ kind, model, base_url }, say) {
  const chat = kind.value === "chat"
  model.required = chat
  model.parentElement.hidden = !chat
  base_url.placeholder = chat ? "https://api.example.com/v1" : "http://127.0.0.1:8000"
  base_url.rows = chat ? 1 : 3
  base_url.title = chat ? "" : say.several
}

function makeForm(page, say) {
  const form = made("form", page, "", { className: "storefront-connections" })
  const title = made("h4", form, say.fresh)
  const inputs = {
    name: field(form, say.name, { name: "name", maxLength: 40, required: true }),
    kind: choice(form, say.kind, "kind", say),
    base_url: addresses(form, say),
    model: field(form, say.model, { name: "model" }),
    key: field(form, say.key, { name: "key", type: "password", autocomplete: "new-password" }),
    seconds: field(form, say.seconds, { name: "seconds", type: "number", min: 1, max: 600, value: 120, required: true }),
    allow_private: field(form, say.nearby, { name: "allow_private", type: "checkbox" }),
    // Asked for only where this page is open on another machine than the server's. It is kept nowhere.
    token: field(form, say.token, { name: "token", type: "password" }),
  }
  inputs.token.parentElement.hidden = true
  const buttons = made("div", form, "", { className: "buttons" })
  const message = made("span", buttons)
  message.setAttribute("role", "status")
  const cancel = made("button", buttons, say.cancel, { type: "button", hidden: true })
  made("button", buttons, say.save, { type: "submit" })
  return { form, title, inputs, message, cancel }
}

/** Fill `place` with the page. */
export function show(place) {
  const say = TEXT[language()] ?? TEXT.en
  const page = made("div", place, "", { className: "storefront-page" })
  made("style", page, STYLE)
  const list = made("ul", page)
  const { form, title, inputs, message, cancel } = makeForm(page, say)
  const token = () => inputs.token.value.trim()

  /** The form for a connection, or for a new one. */
  const turnTo = (one) => {
    title.textContent = one ? filled(say.changed, one.name) : say.fresh
    inputs.name.readOnly = Boolean(one)
    cancel.hidden = !one
    for (const name of ["name", "base_url", "model"]) inputs[name].value = one?.[name] ?? ""
    inputs.kind.value = one?.kind ?? "chat"
    adapt(inputs, say)
    inputs.seconds.value = one?.seconds ?? 120
    inputs.allow_private.checked = one?.allow_private ?? false
    inputs.key.value = ""
    inputs.key.placeholder = one?.has_key ? say.kept : ""
  }
  const failed = (error) => {
    message.textContent = error.message
    if (error.token) inputs.token.parentElement.hidden = false
  }
  const attempt = async (done, text = "") => {
    try {
      await done()
      message.textContent = text
    } catch (error) {
      failed(error)
    }
  }
  const row = (one) => {
    const line = made("li", list)
    const words = made("div", line, one.name)
    const key = one.has_key ? say.hasKey : say.noKey
    if (one.base_url) made("small", words, [one.model || say[one.kind], one.base_url.split(/[\s,]+/).join(", "), key].join(" · "))
    checker(line, words, one.name, token, failed)
    const rename = (button, text) => {
      button.textContent = text
      button.setAttribute("aria-label", `${text} ${one.name}`)
    }
    const button = (text, press) => {
      const pressed = made("button", line, "", { type: "button" })
      rename(pressed, text)
      pressed.addEventListener("click", () => press(pressed))
    }
    button(say.edit, () => attempt(async () => {
      // Pages on other machines learn more than the name with the owner's token alone.
      const all = one.base_url ? [one] : await known(token())
      const found = all.find(({ name }) => name === one.name)
      if (!found?.base_url) throw Object.assign(new Error(say.elsewhere), { token: true })
      turnTo(found)
      inputs.base_url.focus()
    }))
    button(say.remove, (pressed) => {
      if (pressed.textContent === say.remove) {
        rename(pressed, say.sure)
        setTimeout(() => rename(pressed, say.remove), SURE)
        return
      }
      attempt(async () => {
        await ask("DELETE", pathOf(one.name), undefined, token())
        if (inputs.name.readOnly && inputs.name.value === one.name) turnTo(null)
        await fill()
        inputs.name.focus() // the row that had it is gone
      }, say.removed)
    })
  }
  const fill = async () => {
    const all = await known(token())
    list.replaceChildren()
    if (!all.length) made("li", list, say.none)
    for (const one of all) row(one)
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault()
    const [base_url, kind, seconds] = [inputs.base_url.value.trim(), inputs.kind.value, inputs.seconds.valueAsNumber]
    const body = { base_url, kind, allow_private: inputs.allow_private.checked, seconds }
    if (kind === "chat") body.model = inputs.model.value.trim()
    if (inputs.key.value) body.key = inputs.key.value
    attempt(async () => {
      await ask("PUT", pathOf(inputs.name.value.trim()), body, token())
      await fill()
      turnTo(null)
    }, say.saved)
  })
  cancel.addEventListener("click", () => turnTo(null))
  inputs.kind.addEventListener("change", () => adapt(inputs, say))
  adapt(inputs, say)
  page.addEventListener("keydown", (event) => event.stopPropagation()) // or the editor takes letters for shortcuts
  attempt(fill)
}
