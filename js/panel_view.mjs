// What the panel "Storefront" shows. All that comes from a run or a server is text, never markup.
import { app } from "../../scripts/app.js"
import { api } from "../../scripts/api.js"
import { checker, known } from "./connections_known.mjs"
import { asked, filled, made } from "./page.mjs"
import { merged } from "./runs.mjs"
import { warmUp } from "./warm_up.mjs"

const TEXT = {
  en: {
    runs: "Last runs",
    none: "No run yet. The node Report adds memory and fallbacks to what is listed here.",
    node: "Node",
    time: "Time",
    memory: "Memory",
    reused: "reused",
    stopped: "stopped",
    total: "{0} s · {1} nodes, {2} reused",
    memoryTotal: " · {0} at most · fallbacks: {1}",
    models: "Loaded models",
    noModels: "Nothing is loaded.",
    free: "Free memory",
    freed: "ComfyUI frees the memory before its next run.",
    connections: "Connections",
    noConnections: "No connection yet.",
    settings: "Settings",
    refresh: "Refresh",
    failed: "The server did not answer: {0}",
    warm: "Warm up",
    warming: "Loading and compiling what this graph draws with …",
    nothing: "The open graph has no FLUX Sampler. Open one, or choose a default model in the settings.",
  },
  ko: {
    runs: "최근 실행",
    none: "아직 실행이 없습니다. 보고서 노드를 넣으면 메모리와 대체한 것도 여기에 나옵니다.",
    node: "노드",
    time: "시간",
    memory: "메모리",
    reused: "다시 씀",
    stopped: "멈춤",
    total: "{0}초 · 노드 {1}개, 다시 쓴 것 {2}개",
    memoryTotal: " · 최대 {0} · 대체: {1}",
    models: "올라온 모델",
    noModels: "올라온 모델이 없습니다.",
    free: "메모리 비우기",
    freed: "ComfyUI가 다음 실행 전에 메모리를 비웁니다.",
    connections: "연결",
    noConnections: "아직 연결이 없습니다.",
    settings: "설정",
    refresh: "새로 고침",
    failed: "서버가 답하지 않았습니다: {0}",
    warm: "예열",
    warming: "이 그래프가 쓰는 모델을 올리고 컴파일하는 중 …",
    nothing: "열린 그래프에 FLUX 샘플러가 없습니다. 있는 그래프를 열거나 설정에서 기본 모델을 고르세요.",
  },
  ja: {
    runs: "最近の実行",
    none: "まだ実行がありません。レポートノードがあれば、メモリと代替もここに並びます。",
    node: "ノード",
    time: "時間",
    memory: "メモリ",
    reused: "再利用",
    stopped: "停止",
    total: "{0}秒 · ノード{1}個、再利用{2}個",
    memoryTotal: " · 最大{0} · 代替：{1}",
    models: "読み込んだモデル",
    noModels: "読み込んだモデルはありません。",
    free: "メモリを解放",
    freed: "ComfyUIが次の実行の前にメモリを解放します。",
    connections: "接続",
    noConnections: "接続はまだありません。",
    settings: "設定",
    refresh: "更新",
    failed: "サーバーが応答しませんでした：{0}",
    warm: "ウォームアップ",
    warming: "このグラフが使うモデルを読み込み、コンパイルしています…",
    nothing: "開いているグラフにFLUXサンプラーがありません。あるグラフを開くか、設定で既定のモデルを選んでください。",
  },
  zh: {
    runs: "最近的运行",
    none: "还没有运行。有报告节点时，还会显示内存和回退。",
    node: "节点",
    time: "时间",
    memory: "内存",
    reused: "复用",
    stopped: "已停止",
    total: "{0} 秒 · {1} 个节点，复用 {2} 个",
    memoryTotal: " · 最多 {0} · 回退：{1}",
    models: "已加载的模型",
    noModels: "没有加载模型。",
    free: "释放内存",
    freed: "ComfyUI 会在下次运行前释放内存。",
    connections: "连接",
    noConnections: "还没有连接。",
    settings: "设置",
    refresh: "刷新",
    failed: "服务器没有响应：{0}",
    warm: "预热",
    warming: "正在加载并编译此图使用的模型…",
    nothing: "打开的图中没有 FLUX 采样器。请打开一个有采样器的图，或在设置中选择默认模型。",
  },
}
const STYLE = `
  .storefront-panel { height: 100%; padding: 12px; box-sizing: border-box; overflow: auto; font: 13px/1.45 system-ui, sans-serif;
    color: var(--input-text, #ddd) }
  .storefront-panel h3 { margin: 16px 0 6px; font-size: 14px }
  .storefront-panel header { display: flex; flex-wrap: wrap; gap: 8px; align-items: center }
  .storefront-panel header p { margin: 0 }
  .storefront-panel .parts { display: grid; grid-template-columns: 2fr 1fr 1fr; gap: 0 32px }
  .storefront-panel section { min-width: 0; overflow-wrap: anywhere }
  @media (max-width: 900px) { .storefront-panel .parts { display: block } }
  .storefront-panel small { display: block; color: var(--descrip-text, #999) }
  .storefront-panel small.yes { color: #6fcf7f }
  .storefront-panel small.no { color: #ffb4a8 }
  .storefront-panel li button { min-height: 24px; margin-inline-start: 8px; padding: 0 8px }
  .storefront-panel button { min-height: 30px; padding: 0 12px; border: 1px solid var(--border-color, #555); border-radius: 8px;
    background: var(--comfy-input-bg, #222); color: inherit; font: inherit; cursor: pointer }
  .storefront-panel :focus-visible { outline: 2px solid #6cc1ff; outline-offset: 2px }
  .storefront-panel summary { padding: 6px 0; cursor: pointer }
  .storefront-panel table { width: 100%; border-collapse: collapse; font-size: 12px }
  .storefront-panel :is(th, td) { padding: 3px 6px 3px 0; text-align: start; vertical-align: top; font-weight: normal }
  .storefront-panel thead th { color: var(--descrip-text, #999) }
  .storefront-panel .bar { height: 4px; border-radius: 2px; background: #2a9df4 }
  .storefront-panel .fallback { color: #ffb86b }
  .storefront-panel ul { margin: 0; padding-inline-start: 18px }`

function size(bytes) {
  const gib = bytes / 2 ** 30
  return gib >= 1 ? `${gib.toFixed(1)} GiB` : `${Math.round(bytes / 2 ** 20)} MiB`
}

/** A node's name in the user's language, as the editor has it. */
const nameOf = (type) => window.LiteGraph?.registered_node_types?.[type]?.title ?? type

function table(place, run, say) {
  const list = made("table", place)
  const head = made("tr", made("thead", list))
  for (const title of [say.node, say.time, say.memory]) made("th", head, title, { scope: "col" })
  const body = made("tbody", list)
  const longest = Math.max(...run.nodes.map((node) => node.seconds), 0.001)
  for (const node of run.nodes) {
    const row = made("tr", body)
    const title = made("th", row, nameOf(node.type), { scope: "row" })
    const words = { cached: say.reused, stopped: say.stopped }[node.status]
    made("td", row, words ?? node.seconds.toFixed(2))
    made("td", row, node.ram_peak_bytes ? size(node.vram_peak_bytes || node.ram_peak_bytes) : "")
    if (!words) made("div", title, "", { className: "bar" }).style.width = `${Math.max(1, (100 * node.seconds) / longest)}%`
    for (const text of node.fallbacks) made("div", title, text, { className: "fallback" })
  }
}

function showRuns(place, runs, say) {
  if (!runs.length) made("p", place, say.none)
  runs.forEach((run, index) => {
    const one = made("details", place, "", { open: index === 0 })
    const { seconds, nodes, cached_nodes, ram_peak_bytes, vram_peak_bytes, fallbacks } = run.totals
    const total = filled(say.total, seconds.toFixed(1), nodes, cached_nodes)
    const memory = fallbacks === undefined ? "" : filled(say.memoryTotal, size(vram_peak_bytes || ram_peak_bytes), fallbacks)
    made("summary", one, total + memory)
    if (run.error) made("p", one, run.error.message || say.stopped, { className: "fallback" })
    table(one, run, say)
  })
}

function part(place, title, lines, nothing, show) {
  const section = made("section", place)
  made("h3", section, title)
  if (!lines.length) return made("p", section, nothing)
  const list = made("ul", section)
  for (const line of lines) show(made("li", list), line)
}

function showModel(line, { name, part, bytes, licence, allows }) {
  line.append([name, part, size(bytes)].filter(Boolean).join(" · "))
  if (licence) made("small", line, `${licence}: ${allows}`)
}

/** A connection and its state, of which nothing is known before somebody asks for it. */
function showConnection(line, { name, model }) {
  line.append([name, model].filter(Boolean).join(" · "))
  checker(line, line, name)
}

const EVENTS = ["execution_success", "execution_error", "execution_interrupted"]
let leave = () => {} // the panel that was shown before

/** Fill the panel's place, and keep it up to date while it is open. */
export function show(place, language) {
  leave()
  const say = TEXT[language] ?? TEXT.en
  place.replaceChildren()
  const panel = made("div", place, "", { className: "storefront-panel" })
  made("style", panel, STYLE)
  const buttons = made("header", panel)
  const refresh = made("button", buttons, say.refresh, { type: "button" })
  const warm = made("button", buttons, say.warm, { type: "button" })
  const free = made("button", buttons, say.free, { type: "button" })
  const settings = made("button", buttons, say.settings, { type: "button" })
  const message = made("p", buttons)
  message.setAttribute("role", "status")
  const content = made("div", panel, "", { className: "parts" })

  let failed = false
  const fill = async () => {
    try {
      const [{ runs, models }, connections] = await Promise.all([asked(`/storefront/runs?language=${language}`), known()])
      content.replaceChildren()
      const section = made("section", content)
      made("h3", section, say.runs)
      showRuns(section, merged(runs), say)
      part(content, say.models, models, say.noModels, showModel)
      part(content, say.connections, connections, say.noConnections, showConnection)
      if (failed) message.textContent = ""
      failed = false
    } catch (error) {
      failed = true
      message.textContent = filled(say.failed, error.message)
    }
  }
  const ended = () => (panel.isConnected ? fill() : leave())
  for (const event of EVENTS) api.addEventListener(event, ended)
  leave = () => {
    for (const event of EVENTS) api.removeEventListener(event, ended)
  }
  panel.addEventListener("keydown", (event) => event.stopPropagation()) // the graph's shortcuts
  refresh.addEventListener("click", fill)
  warm.addEventListener("click", async () => {
    warm.disabled = true
    message.textContent = say.warming
    try {
      const notes = await warmUp()
      message.textContent = notes === null ? say.nothing : notes.join(" · ")
      await fill()
    } catch (error) {
      message.textContent = error.message
    } finally {
      warm.disabled = false
    }
  })
  settings.addEventListener("click", () => app.extensionManager.command.execute("Comfy.ShowSettingsDialog"))
  free.addEventListener("click", async () => {
    const body = JSON.stringify({ unload_models: true, free_memory: true })
    try {
      await asked("/free", { method: "POST", headers: { "Content-Type": "application/json" }, body })
      message.textContent = say.freed
      for (const after of [1000, 3000, 8000]) setTimeout(ended, after) // it takes its time
    } catch (error) {
      message.textContent = filled(say.failed, error.message)
    }
  })
  fill()
}
