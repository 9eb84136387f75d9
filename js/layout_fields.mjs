// The fields beside the picture: what can be said of the selected item in numbers and words.
import { button, make } from "./layout_dom.mjs"
import { carried, drawSmall, pixelsUnder, seenBox } from "./layout_pictures.mjs"
import { LIGHT, contrast } from "./layout_scene.mjs"

const WORST_SHARE = 0.05 // of the pixels: a few sparkling ones make no word unreadable
const LONGEST_WORDS = 2000
const FURTHEST = 100
const LARGEST = 150 // % of the picture's height
const WIDEST = 1.9 // pictures
const LOOKED_AT = 320 // pixels: the longer side of the picture that contrast is measured on

let serial = 0

function field(label, input, shown) {
  const id = `storefront-arrange-${++serial}`
  input.id = id
  return make("div", { className: "field" }, make("label", { htmlFor: id, textContent: label }), input, ...(shown ? [shown] : []))
}

/** A slider that shows its value. `preview` gets it while it moves, `done` when it is let go. */
function slider(label, value, { min, max, step, text }, preview, done) {
  const shown = make("output", { textContent: text(value) })
  const input = make("input", { type: "range", min, max, step, value })
  input.addEventListener("input", () => {
    shown.textContent = text(Number(input.value))
    preview(Number(input.value))
  })
  input.addEventListener("change", () => done())
  return field(label, input, shown)
}

/** The fields of what is selected; a hint where nothing is. */
export function fieldsFor(editor, role) {
  const t = editor.t.bind(editor)
  const item = role && (role === LIGHT ? {} : editor.item(role))
  if (!item) {
    return [
      make("p", { textContent: t("Click an item on the picture to change it.") }),
      make("p", { textContent: t("Drag to move. Corners resize, the round handle rotates. Arrow keys move by a pixel, with Shift by ten.") }),
    ]
  }
  const isChanged = role in editor.arrangement
  const back = button(t("Back to automatic"), () => editor.resetItem(role), { disabled: !isChanged })
  const title = make("h3", { textContent: editor.name(role) })
  if (isChanged) title.append(make("small", { textContent: t("moved by hand") }))
  const fieldsOf = { text: wordFields, product: productFields, overlay: overlayFields }[item.kind]
  const own = role === LIGHT ? lightFields(editor, t) : fieldsOf(editor, item, t)
  return [title, ...own, back]
}

/** A slider for the height of what keeps its proportions. `down`: what stays where it is, 1 the lower edge, 0.5 the middle. */
function sizeField(editor, item, seen, down, pinned, t) {
  const resize = (percent) => {
    const height = percent / 100
    const width = (seen.width * height) / seen.height
    return { x: seen.x + (seen.width - width) / 2, y: seen.y + (seen.height - height) * down, width, height }
  }
  const most = Math.floor(Math.min(LARGEST, (100 * WIDEST * seen.height) / seen.width)) // percent: a button is many times as wide as high
  return slider(t("Size"), Math.round(seen.height * 1000) / 10, { min: 2, max: most, step: 0.5, text: (v) => `${v} %` },
    (value) => editor.previewItem(item.role, pinned(resize(value))), () => editor.commit(editor.arrangement))
}

function productFields(editor, item, t) {
  const whole = editor.scene
  const seen = seenBox(item, whole)
  const preview = (part) => editor.previewItem(item.role, part)
  const fronts = whole.items.filter((one) => one.kind === "product").map((one) => editor.item(one.role).front)
  const several = fronts.length > 1
  const toFront = (front) => editor.change({ ...editor.pinned(item, seen), front: front || undefined }, item.role)
  return [
    sizeField(editor, item, seen, 1, (box) => editor.pinned(item, box), t),
    slider(t("Rotation"), item.rotation, { min: -180, max: 180, step: 1, text: (v) => `${v}°` },
      (value) => preview({ ...editor.pinned(item, seen), rotation: value || undefined }), () => editor.commit(editor.arrangement)),
    button(t("Flip"), () => editor.change({ ...editor.pinned(item, seen), flip: !item.flip || undefined }, item.role)),
    ...(several
      ? [
          button(t("To the front"), () => toFront(Math.min(FURTHEST, Math.max(...fronts) + 1))),
          button(t("To the back"), () => toFront(Math.max(-FURTHEST, Math.min(...fronts) - 1))),
        ]
      : []),
  ]
}

/** Of a logo, a badge or a button. */
function overlayFields(editor, item, t) {
  const seen = seenBox(item, editor.scene)
  return [
    sizeField(editor, item, seen, 0.5, (box) => editor.pinned(item, box), t),
    make("p", { textContent: t("What it shows and its colors are set in its own node.") }),
  ]
}

function wordFields(editor, item, t) {
  const { role } = item
  const base = editor.scene.items.find((one) => one.role === role)
  const words = make("textarea", { value: item.words, rows: 3, maxLength: LONGEST_WORDS, spellcheck: false })
  const say = () => ({ words: words.value.trim() && words.value !== base.words ? words.value : undefined })
  words.addEventListener("input", () => {
    editor.previewItem(role, say())
    editor.setLetters()
  })
  words.addEventListener("change", () => editor.commit(editor.arrangement))
  const told = make("p", { className: "contrast" })
  const own = editor.arrangement[role] ?? {}
  const seen = own.color || editor.lettersAnew(role)?.color || item.color
  const color = make("input", { type: "color", value: seen })
  color.addEventListener("input", () => {
    editor.previewItem(role, { color: color.value })
    editor.setLetters()
    tellContrast(editor, item.role, color.value, told, t)
  })
  color.addEventListener("change", () => editor.commit(editor.arrangement))
  tellContrast(editor, item.role, seen, told, t)
  const name = `storefront-align-${++serial}`
  const aligns = ["left", "center", "right"].map((align) => {
    const input = make("input", { type: "radio", name, checked: item.align === align })
    input.addEventListener("change", () => editor.change({ align }, role))
    return make("label", {}, input, t(align))
  })
  return [
    field(t("Words"), words),
    ...fontField(editor, item, base.font, t),
    slider(t("Weight"), item.weight, { min: 0, max: 900, step: 100, text: (v) => (v ? String(v) : t("automatic")) },
      (value) => {
        editor.previewItem(role, { weight: value || undefined })
        editor.setLetters()
      }, () => editor.commit(editor.arrangement)),
    field(t("Color"), color),
    told,
    button(t("Automatic color"), () => editor.change({ color: undefined }, role), { disabled: !own.color }),
    make("fieldset", {}, make("legend", { textContent: t("Align") }), ...aligns),
  ]
}

/** The fonts of the server, as a text field that offers them: the editor's own undo would take keys from a <select>. */
function fontField(editor, item, automatic, t) {
  const list = make("datalist", { id: `storefront-fonts-${++serial}` })
  const input = make("input", { type: "text", value: item.font, placeholder: item.font, autocomplete: "off", spellcheck: false })
  input.setAttribute("list", list.id)
  let fonts = []
  editor.fonts().then((known) => {
    fonts = known
    list.replaceChildren(...known.map((value) => make("option", { value })))
  })
  input.addEventListener("focus", () => (input.value = "")) // a browser offers only what begins with what is there
  input.addEventListener("blur", () => (input.value = editor.item(item.role)?.font ?? ""))
  input.addEventListener("input", () => {
    const font = fonts.find((name) => name === input.value)
    if (!font) return
    input.placeholder = font
    editor.change({ font: font === automatic ? undefined : font }, item.role)
  })
  return [field(t("Font"), input), list]
}

const channels = (color) => [1, 3, 5].map((index) => parseInt(color.slice(index, index + 2), 16))

/** How well letters of a colour read on what is under them, their veil included: WCAG 2.2, success criterion 1.4.3. */
async function tellContrast(editor, role, color, line, t) {
  const { scene } = editor
  const scale = LOOKED_AT / Math.max(scene.width, scene.height)
  const [width, height] = [scene.width, scene.height].map((side) => Math.max(1, Math.round(side * scale)))
  const picture = Object.assign(document.createElement("canvas"), { width, height })
  const isThere = await drawSmall(picture, editor.host.api, scene, editor.arrangement, false)
  if (!isThere || editor.scene !== scene) return
  const drawn = editor.lettersAnew(role) ?? editor.item(role).drawn
  const box = drawn ? carried(drawn.ink, drawn.at, editor.item(role).box) : editor.item(role).box
  const [ink, veil, opacity] = [channels(color), channels(drawn?.veil ?? "#000000"), drawn?.opacity ?? 0]
  const veiled = (pixel) => pixel.map((level, index) => level * (1 - opacity) + veil[index] * opacity)
  const ratios = pixelsUnder(picture, box).map((pixel) => contrast(ink, veiled(pixel))).sort((a, b) => a - b)
  if (!ratios.length) return
  const worst = ratios[Math.floor(ratios.length * WORST_SHARE)]
  const isReadable = worst >= (drawn?.least ?? 4.5)
  line.textContent = t(isReadable ? "Contrast {0} : 1, easy to read" : "Contrast {0} : 1, hard to read", worst.toFixed(1))
  line.classList.toggle("weak", !isReadable)
}

function lightFields(editor, t) {
  const { azimuth, elevation } = editor.light
  const preview = (part) => editor.preview({ ...editor.arrangement, [LIGHT]: { ...editor.light, ...part } })
  const done = () => editor.commit(editor.arrangement)
  const degrees = (value) => `${Math.round(value)}°`
  return [
    make("p", {
      textContent: t("Drag the sun: farther from the middle is a lower light with longer shadows. The shadow follows at the next run."),
    }),
    slider(t("Direction"), azimuth, { min: 0, max: 360, step: 1, text: degrees }, (value) => preview({ azimuth: value % 360 }), done),
    slider(t("Height"), elevation, { min: 0, max: 90, step: 1, text: degrees }, (value) => preview({ elevation: value }), done),
  ]
}
