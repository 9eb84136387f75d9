// The last runs of this page, by ComfyUI's own messages: what the panel shows of workflows without a Report node. A node's
// time is that until the next message arrives, a run's that between its messages' own times; memory is not among them.
import { api } from "../../scripts/api.js"
import { nodeOf } from "./notes.js"

const MOST_RUNS = 16
const runs = [] // the latest first
let open = null // the run that is going on
let node = null // the node that is at work in it, since `since`
let since = 0

const now = () => performance.now() / 1000

/** A node of the open run. Its kind is asked for now: its graph may be closed later. */
function nodeIn(run, id, status) {
  const known = run.nodes.find((one) => one.id === id)
  if (known) return known
  const added = { id, type: nodeOf(id)?.type ?? id, status, seconds: 0, fallbacks: [] }
  run.nodes.push(added)
  return added
}

function pause() {
  if (node) node.seconds += now() - since
  node = null
  since = now()
}

function begin({ detail }) {
  open = { run: detail.prompt_id, began: now(), sent: detail.timestamp, nodes: [], error: null }
  node = null
  runs.unshift(open)
  runs.splice(MOST_RUNS)
}

function end({ detail }, error) {
  if (!open) return
  pause()
  // A busy server sends late: the first run's messages arrive up to a second after what they tell.
  const told = (detail?.timestamp - open.sent) / 1000
  open.seconds = told >= 0 ? told : now() - open.began
  open.error = error
  open = null
}

/** Listen from now on. */
export function record() {
  const on = (name, act) => api.addEventListener(name, act)
  on("execution_start", begin)
  on("execution_cached", ({ detail }) => {
    if (open?.run === detail.prompt_id) for (const id of detail.nodes) nodeIn(open, String(id), "cached")
  })
  on("executing", ({ detail }) => {
    const id = detail?.node ?? detail // releases hand over the message or the node's id
    pause()
    if (!open || id === null || id === undefined) return
    node = nodeIn(open, String(id), "done")
    node.status = "done"
  })
  on("execution_success", (event) => end(event, null))
  on("execution_interrupted", (event) => {
    if (node) node.status = "stopped"
    end(event, { message: "" })
  })
  on("execution_error", (event) => {
    if (node) node.status = "stopped"
    end(event, { message: String(event.detail?.exception_message ?? "").trim() })
  })
}

/** Those runs in the form of a Report's, with what a Report has recorded of them in place of what this page saw. */
export function merged(reported) {
  const known = new Map(reported.map((run) => [run.run, run]))
  const seen = runs.map((run) => {
    const found = known.get(run.run)
    known.delete(run.run)
    if (found) return found
    const cached_nodes = run.nodes.filter(({ status }) => status === "cached").length
    const totals = { seconds: run.seconds ?? now() - run.began, nodes: run.nodes.length, cached_nodes }
    return { ...run, totals }
  })
  return [...seen, ...known.values()]
}
