// "Warm up": what the node Warm Up does, for the models that Run would sample with: those of the open graph with their
// LoRAs and settings, in the size of their canvas; without one, the default model of the settings.
import { app } from "../../scripts/app.js"
import { api } from "../../scripts/api.js"
import { chosen, MODEL } from "./defaults.mjs"
import { asked } from "./page.mjs"

const SAMPLERS = ["StorefrontSample", "StorefrontBlendIntoScene"]
const WAIT = 1000 // milliseconds between two looks whether it is done

const isLink = (value) => Array.isArray(value) && value.length === 2

/** Everything that a link's node is made of, and that node. */
function above(prompt, link, found = {}) {
  const [id] = link
  if (found[id] || !prompt[id]) return found
  found[id] = prompt[id]
  for (const value of Object.values(prompt[id].inputs)) if (isLink(value)) above(prompt, value, found)
  return found
}

/** Width and height as a sampler draws them, where its latent comes from a canvas of ours; {} leaves the node's own. */
function sizeOf(prompt, sampler) {
  const { latent } = sampler.inputs
  const canvas = isLink(latent) && prompt[latent[0]]?.class_type === "StorefrontCanvas" ? latent[0] : null
  if (canvas === null) return {}
  const side = prompt[canvas].inputs.draw_side // of as many pixels; the shape is the format's
  if (isLink(side)) return {}
  const drawn = Math.max(16, Math.round(side / 16) * 16)
  return side > 0 ? { width: drawn, height: drawn } : { width: [canvas, 1], height: [canvas, 2] }
}

/** The prompt that warms up, or null where there is no model to be warmed up. */
function warming(prompt, stamp) {
  const links = new Map() // each model once
  for (const node of Object.values(prompt)) {
    const { model } = node.inputs
    if (SAMPLERS.includes(node.class_type) && isLink(model)) links.set(String(model), { model, ...sizeOf(prompt, node) })
  }
  const usual = chosen(MODEL)
  const whole = {}
  if (!links.size && usual !== null) {
    whole[`storefront-model-${stamp}`] = { class_type: "StorefrontLoadModel", inputs: { model: usual } }
    links.set("usual", { model: [`storefront-model-${stamp}`, 0] })
  }
  if (!links.size) return null
  let count = 0
  for (const inputs of links.values()) {
    for (const link of Object.values(inputs).filter(isLink)) Object.assign(whole, above(prompt, link))
    const [warm, report] = ["warm", "report"].map((name) => `storefront-${name}-${stamp}-${count}`)
    // An input that no node has, with a value of its own: ComfyUI would take the result from its cache, and load nothing.
    whole[warm] = { class_type: "StorefrontWarmUp", inputs: { ...inputs, storefront_warm_up: `${stamp}` } }
    whole[report] = { class_type: "StorefrontReport", inputs: { value: [warm, 0] } }
    count += 1
  }
  return whole
}

async function ended(id) {
  for (;;) {
    const entry = (await asked(`/history/${id}`))[id]
    if (entry) return entry
    const { queue_running, queue_pending } = await asked("/queue")
    if (![...queue_running, ...queue_pending].some((job) => job[1] === id)) return (await asked(`/history/${id}`))[id] ?? {}
    await new Promise((next) => setTimeout(next, WAIT))
  }
}

/** Queue it and wait: its notes, one a model; null where the graph has no model. Throws what the server says. */
export async function warmUp() {
  const { output } = await app.graphToPrompt()
  const prompt = warming(output, Date.now())
  if (prompt === null) return null
  const body = JSON.stringify({ prompt, client_id: api.clientId, front: true })
  const answer = await api.fetchApi("/prompt", { method: "POST", headers: { "Content-Type": "application/json" }, body })
  const told = await answer.json()
  if (!answer.ok) throw new Error(refusal(told))
  const { status } = await ended(told.prompt_id)
  const problem = status?.messages?.find(([kind]) => kind === "execution_error")?.[1]
  if (problem) throw new Error(problem.exception_message.trim())
  const report = await asked(`/storefront/report/${told.prompt_id}`)
  return report.nodes.filter((node) => node.type === "StorefrontWarmUp").flatMap((node) => node.notes)
}

/** The first sentence of a refused prompt. */
function refusal({ error, node_errors }) {
  const found = Object.values(node_errors ?? {}).flatMap((node) => node.errors)
  return found[0]?.details || error?.message || String(error)
}
