// The server's connections, as its owner's page may know them: never a key. No server is contacted but by `check`, which a
// person presses.
import { api } from "../../scripts/api.js"
import { language } from "./defaults.mjs"
import { filled, made } from "./page.mjs"

const STATES = {
  en: {
    serves: "answers and is ready",
    some: "some of its servers answer, not all",
    ready: "answers and has the model",
    "other model": "answers, but does not list this model",
    "wrong key": "answers, but does not accept the key",
    "no list": "answers, but lists no models",
    "bad status": "answers with status {0}",
    unreadable: "answers, but not like a server of this kind",
    address: "not asked: its address is private, or a shortened IP address",
    late: "no answer in time",
    unreachable: "cannot be reached",
    broken: "broke off",
  },
  ko: {
    serves: "응답하고 준비되어 있습니다",
    some: "일부 서버만 응답합니다",
    ready: "응답하고 모델이 있습니다",
    "other model": "응답하지만 모델 목록에 이 모델이 없습니다",
    "wrong key": "응답하지만 키를 받아들이지 않습니다",
    "no list": "응답하지만 모델 목록이 없습니다",
    "bad status": "상태 {0}(으)로 응답합니다",
    unreadable: "응답하지만 알맞은 서버가 아닙니다",
    address: "묻지 않았습니다. 사설 주소이거나 줄여 쓴 주소입니다",
    late: "제때 응답하지 않습니다",
    unreachable: "연결할 수 없습니다",
    broken: "연결이 끊겼습니다",
  },
  ja: {
    serves: "応答し、準備ができています",
    some: "一部のサーバーだけが応答します",
    ready: "応答し、モデルがあります",
    "other model": "応答しますが、このモデルは一覧にありません",
    "wrong key": "応答しますが、キーが受け付けられません",
    "no list": "応答しますが、モデルの一覧がありません",
    "bad status": "ステータス{0}で応答します",
    unreadable: "応答しますが、このようなサーバーの答えではありません",
    address: "問い合わせていません：プライベートなアドレスか、短縮されたアドレスです",
    late: "時間内に応答がありません",
    unreachable: "接続できません",
    broken: "接続が切れました",
  },
  zh: {
    serves: "有响应，已就绪",
    some: "只有部分服务器有响应",
    ready: "有响应，且有该模型",
    "other model": "有响应，但列表中没有该模型",
    "wrong key": "有响应，但不接受密钥",
    "no list": "有响应，但没有模型列表",
    "bad status": "以状态 {0} 响应",
    unreadable: "有响应，但不是这类服务器的回答",
    address: "未询问：地址是私有的，或是缩写的",
    late: "没有及时响应",
    unreachable: "无法连接",
    broken: "连接中断",
  },
}

const WORDS = {
  en: { check: "Check", asking: "asking …", unchecked: "not checked", token: "Check it in Settings › Storefront." },
  ko: { check: "확인", asking: "묻는 중 …", unchecked: "확인 안 함", token: "설정 › Storefront에서 확인하세요." },
  ja: { check: "確認", asking: "問い合わせ中…", unchecked: "未確認", token: "設定 › Storefrontで確認してください。" },
  zh: { check: "检查", asking: "正在询问…", unchecked: "未检查", token: "请在 设置 › Storefront 中检查。" },
}
const found = new Map() // name -> what was last found, for as long as the page is open

/** The server's answer to a request for connections. Throws its own words; `token`: whether it asks for the owner's. */
export async function ask(method, path = "", body, token = "") {
  const options = { method, cache: "no-store", headers: {} }
  if (token) options.headers["X-Storefront-Token"] = token
  if (body) {
    options.headers["Content-Type"] = "application/json"
    options.body = JSON.stringify(body)
  }
  const answer = await api.fetchApi(`/storefront/connections${path}`, options)
  const content = await answer.json()
  if (!answer.ok) throw Object.assign(new Error(content.error), { token: content.token })
  if (method === "PUT" || method === "DELETE") found.delete(decodeURIComponent(path.slice(1)))
  return content
}

export const pathOf = (name) => `/${encodeURIComponent(name)}`

/** Every connection: {name} alone for pages that are not the owner's, with what it is made of for his. */
export async function known(token) {
  const { names, connections } = await ask("GET", "", undefined, token)
  return connections ?? names.map((name) => ({ name }))
}

/** Ask one's server whether it answers: {reachable, text}. */
export async function check(name, token) {
  const { reachable, state, status } = await ask("POST", `${pathOf(name)}/check`, undefined, token)
  const text = (STATES[language()] ?? STATES.en)[state] ?? state
  return { reachable, text: filled(text, status) }
}

/** The line with a connection's state in `words`, and in `line` the button that asks. token(): the owner's; failed(error): told. */
export function checker(line, words, name, token = () => "", failed = () => {}) {
  const say = WORDS[language()] ?? WORDS.en
  const state = made("small", words)
  state.setAttribute("role", "status")
  const button = made("button", line, say.check, { type: "button" })
  button.setAttribute("aria-label", `${say.check} ${name}`)
  const show = ({ text, reachable }) => {
    state.textContent = text
    state.className = reachable === undefined ? "" : reachable ? "yes" : "no"
  }
  show(found.get(name) ?? { text: say.unchecked })
  button.addEventListener("click", async () => {
    show({ text: say.asking })
    try {
      const answer = await check(name, token())
      found.set(name, answer)
      show(answer)
    } catch (error) {
      show({ text: error.token ? say.token : error.message, reachable: false })
      failed(error)
    }
  })
}
