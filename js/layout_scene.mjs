// What can be arranged: the items that the last run left (products, words, light) with what was moved by hand on top. No
// page is touched here; places are shares of the picture, from its top left corner.

export const HEADLINE = "headline"
export const LIGHT = "light"
const GAP_BESIDE = 0.036 // of the shorter side: nearer to a product than this the plan puts words elsewhere,
const GAP = 0.024 // as studio/layout/criteria.py has it
const DIGITS = 5

/** The arrangement that a widget holds; an empty one where it holds something else. */
export function read(text) {
  try {
    const value = JSON.parse(text || "{}")
    return value && typeof value === "object" && !Array.isArray(value) ? value : {}
  } catch {
    return {}
  }
}

/** As text for the widget: "" where nothing was moved. */
export function write(arrangement) {
  const parts = Object.entries(arrangement).filter(
    ([role, part]) => role !== "version" && part && typeof part === "object" && Object.keys(part).length,
  )
  return parts.length ? JSON.stringify({ version: 1, ...Object.fromEntries(parts) }) : ""
}

const rounded = (value) => Number(value.toFixed(DIGITS))
const isBox = (box) => box && ["x", "y", "width", "height"].every((side) => Number.isFinite(box[side]))
const boxOf = (region) => ({ x: region[0], y: region[1], width: region[2], height: region[3] })
export const rounding = (box) =>
  Object.fromEntries(Object.entries(boxOf([box.x, box.y, box.width, box.height])).map(([k, v]) => [k, rounded(v)]))

function shares(box, plan) {
  return {
    x: box.x / plan.width,
    y: box.y / plan.height,
    width: box.width / plan.width,
    height: box.height / plan.height,
  }
}

/** Parsed `ui` texts of the nodes: {plan, products, letters, laid}; all but the first may be missing. */
export function sceneOf({ plan, products, letters, laid }) {
  const { layout, automatic } = plan
  const before = read(plan.arrangement) // of the last run
  const byHand = new Set(layout.by_hand ?? [])
  const items = productsOf(plan, products, byHand)
  if (letters?.follows !== false) {
    const automaticBox = byHand.has(HEADLINE) ? shares(automatic.text.box, plan) : null
    const at = { box: shares(layout.text.box, plan), automatic: automaticBox, color: layout.text.color, align: layout.text.align }
    items.push(wordsOf(HEADLINE, letters?.follows ? letters : null, at, automatic.hand_words ?? {}, before[HEADLINE] ?? {}))
    items.at(-1).lean = plan.lean ?? 0.5
  }
  for (const one of laid ?? []) {
    if (items.some((item) => item.role === one.role)) continue
    const wasByHand = byHand.has(one.role)
    const room = wasByHand && (automatic.overlays ?? []).find((other) => other.kind === one.role && !other.drawn && !other.role)
    const place = { box: boxOf(one.box), automatic: room ? shares(room, plan) : null, wasByHand }
    items.push(one.words === undefined && one.text === undefined ? overlayOf(one, place, plan) : furtherOf(one, place, automatic, before))
  }
  items.forEach((item, index) => (item.order = index))
  return {
    width: plan.width,
    height: plan.height,
    background: plan.background,
    safe: layout.safe ?? { top: 0, right: 0, bottom: 0, left: 0 },
    light: layout.light,
    automaticLight: automatic.light,
    lightByHand: byHand.has(LIGHT),
    ran: before,
    arrangement: write(before),
    items,
    notes: plan.misfits ?? [],
  }
}

function productsOf({ layout, automatic, width, height }, products, byHand) {
  const placed = products?.follows ? products.products : []
  return layout.products.map((box, index) => {
    const role = `product ${index + 1}`
    const piece = placed[index]
    const pose = layout.poses?.[index] ?? {}
    return {
      role,
      kind: "product",
      box: piece ? boxOf(piece.region) : shares(box, { width, height }),
      automatic: byHand.has(role) && automatic.products[index] ? shares(automatic.products[index], { width, height }) : null,
      rotation: pose.rotation ?? 0,
      flip: pose.flip ?? false,
      front: pose.front ?? 0,
      file: piece?.picture,
      shadow: piece?.shadow,
      shadowBox: piece && boxOf(piece.shadow_region),
      aspect: piece ? (piece.region[2] * width) / (piece.region[3] * height) : null,
    }
  })
}

/** A logo, a badge or a button. */
function overlayOf(one, place, plan) {
  const aspect = (one.box[2] * plan.width) / (one.box[3] * plan.height)
  return { ...place, role: one.role, kind: "overlay", rotation: 0, flip: false, file: one.layer, fileBox: boxOf(one.layer_region), aspect }
}

/** Words beside the headline. */
function furtherOf(letters, place, automatic, before) {
  const own = automatic.further_words?.[letters.role] ?? {}
  const item = wordsOf(letters.role, letters, { ...place, color: letters.plan_color ?? letters.color, align: letters.align }, own, before[letters.role] ?? {})
  return { ...item, wasByHand: place.wasByHand, lean: letters.down }
}

/** Words. `own`: what a node before this one chose; what this one chose is laid on in `shown`, and was `ran` in the last run. */
function wordsOf(role, words, { box, automatic, color, align }, own, ran) {
  const design = words && { ...words.design, ...chosen(own) }
  return {
    role,
    kind: "text",
    box: words ? boxOf(words.box) : box,
    automatic,
    rotation: 0,
    flip: false,
    words: own.words || (words?.text ?? ""),
    weight: design?.weight ?? 0,
    color: colorOf(words, design, ran) ?? color,
    planColor: color,
    align: (design && design.align !== "auto" && design.align) || own.align || align,
    drawn: words && { file: words.layer, box: boxOf(words.layer_region), at: boxOf(words.box), ...readingOf(words) },
    design,
    font: own.font || words?.font,
    lean: 0.5, // where words lie in a box that nobody gave them: 0 at its top, 1 at its bottom
  }
}

/** What tells how words read: where their letters are, the veil under them, and the contrast that their size needs. */
export function readingOf(words) {
  return { ink: boxOf(words.ink), veil: words.veil, opacity: Number(words.veil_opacity) || 0, least: Number(words.least_contrast) || 4.5 }
}

/** What of the words' look a person chose. */
function chosen({ color, weight, align }) {
  return Object.fromEntries(Object.entries({ color, weight, align }).filter(([, value]) => value))
}

/** The words' colour without what this node has by hand: the one they were drawn in, where that was not by hand. */
function colorOf(words, design, ran) {
  if (!words || !ran.color) return words?.color
  return design.color === "auto" ? undefined : design.color
}

/** An item as it is to be shown now. */
export function shown(item, arrangement) {
  const own = arrangement[item.role] ?? {}
  const box = isBox(own.box) ? own.box : (item.automatic ?? item.box)
  const pose = own.box || item.role in arrangement ? own : item.automatic ? {} : item
  const isText = item.kind === "text"
  return {
    ...item,
    box,
    isByHand: isBox(own.box),
    isChanged: Object.keys(own).length > 0,
    rotation: Number(pose.rotation) || 0,
    flip: pose.flip === true,
    front: item.kind === "product" ? Number(pose.front) || 0 : Infinity,
    words: isText ? String(own.words || item.words) : undefined,
    weight: isText ? Number(own.weight) || item.weight : undefined,
    color: isText ? String(own.color || item.color) : undefined,
    align: isText ? String(own.align || item.align) : undefined,
    font: isText ? String(own.font || item.font || "") : undefined,
  }
}

/** The items from back to front: products by `front`, then the one that stands nearer; then what is laid over them. */
export function inOrder(items) {
  const base = (item) => (item.front === Infinity ? item.order : item.box.y + item.box.height)
  return [...items].sort((a, b) => (a.front === b.front ? base(a) - base(b) : a.front < b.front ? -1 : 1))
}

/** The arrangement with a part of an item changed; a value of undefined takes it back. */
export function changed(arrangement, role, part) {
  const own = { ...(arrangement[role] ?? {}), ...part }
  if (isBox(own.box)) own.box = rounding(own.box)
  for (const [name, value] of Object.entries(own)) if (value === undefined) delete own[name]
  const next = { ...arrangement, [role]: own }
  if (!Object.keys(own).length) delete next[role]
  return next
}

/** Without what was moved of one role, or of all. */
export function reset(arrangement, role) {
  if (role === undefined) return {}
  const { [role]: _, ...rest } = arrangement
  return rest
}

/** The box around a rotated one. `aspect`: the picture's width over its height. */
export function around(box, rotation, aspect) {
  const turn = (rotation * Math.PI) / 180
  const [c, s] = [Math.abs(Math.cos(turn)), Math.abs(Math.sin(turn))]
  const [wide, high] = [box.width * aspect, box.height]
  const [across, down] = [(wide * c + high * s) / aspect, wide * s + high * c]
  return { x: box.x + (box.width - across) / 2, y: box.y + (box.height - down) / 2, width: across, height: down }
}

/** What nobody moved and what will not stay where it is shown: it makes room for what was moved, or went back to a place that
 * only the next run knows. */
export function willMove(scene, arrangement) {
  const items = scene.items.map((item) => shown(item, arrangement))
  const aspect = scene.width / scene.height
  const short = Math.min(scene.width, scene.height)
  const isNear = (one, other) => {
    const [a, b] = [one, other].map((item) => around(item.box, item.rotation, aspect))
    const across = Math.max(b.x - a.x - a.width, a.x - b.x - b.width) * (scene.width / short)
    const down = Math.max(b.y - a.y - a.height, a.y - b.y - b.height) * (scene.height / short)
    return Math.max(across / GAP_BESIDE, down / GAP) < 1
  }
  const headline = items.find((item) => item.role === HEADLINE)
  const products = items.filter((item) => item.kind === "product")
  const laid = items.filter((item) => item !== headline && item.kind !== "product")
  const moved = items.filter((item) => item.isByHand)
  const found = []
  if (headline && !headline.isByHand && moved.some((item) => isNear(item, headline))) found.push(headline)
  if (headline?.isByHand && !products.some((item) => item.isByHand)) found.push(...products.filter((item) => isNear(item, headline)))
  for (const item of laid) {
    if (item.isByHand) continue
    const isOver = (other) => (other.kind === "product" ? holds(other.box, middleOf(item.box)) : meet(other.box, item.box))
    if ((item.wasByHand && !item.automatic) || moved.some(isOver)) found.push(item)
  }
  return found.map((item) => item.role)
}

const middleOf = (box) => ({ x: box.x + box.width / 2, y: box.y + box.height / 2 })
const holds = (box, { x, y }) => x > box.x && x < box.x + box.width && y > box.y && y < box.y + box.height

export const meet = (one, other) =>
  one.x < other.x + other.width && other.x < one.x + one.width && one.y < other.y + other.height && other.y < one.y + one.height

/** Lines that a dragged box is drawn to, across and down, in shares. */
export function linesFor(scene, arrangement, role) {
  const { left, top, right, bottom } = scene.safe
  const lines = { x: [0.5, 1 / 3, 2 / 3, left, 1 - right, 0, 1], y: [0.5, 1 / 3, 2 / 3, top, 1 - bottom, 0, 1] }
  for (const item of scene.items) {
    if (item.role === role) continue
    const now = shown(item, arrangement)
    const box = around(now.box, now.rotation, scene.width / scene.height)
    lines.x.push(box.x, box.x + box.width / 2, box.x + box.width)
    lines.y.push(box.y, box.y + box.height / 2, box.y + box.height)
  }
  return lines
}

/** How far to move `marks` (places of a box on one axis) so that one meets a line, within `reach`; and that line. */
export function snapped(marks, lines, reach) {
  let best = { by: 0, line: null, far: reach }
  for (const line of lines) {
    for (const mark of marks) {
      const far = Math.abs(line - mark)
      if (far < best.far) best = { by: line - mark, line, far }
    }
  }
  return best
}

/** WCAG 2.2's contrast of two colours [r, g, b] in 0..255. */
export function contrast(a, b) {
  const luminance = (rgb) => {
    const [r, g, blue] = rgb.map((level) => (level / 255 <= 0.04045 ? level / 255 / 12.92 : ((level / 255 + 0.055) / 1.055) ** 2.4))
    return 0.2126 * r + 0.7152 * g + 0.0722 * blue
  }
  const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x)
  return (high + 0.05) / (low + 0.05)
}
