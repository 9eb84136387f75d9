// The layout editor: a dialog over the whole page. Items are moved with the pointer, the keyboard or the fields beside the
// picture; each change is one value of the graph. Loaded when it is first opened.
import {
  HEADLINE, LIGHT, around, changed, inOrder, linesFor, read, readingOf, reset, rounding, sceneOf, shown, snapped, willMove, write,
} from "./layout_scene.mjs"
import { addressOf, carried, overlayAt, seenBox, standingBehind } from "./layout_pictures.mjs"
import { button, make } from "./layout_dom.mjs"
import { fieldsFor } from "./layout_fields.mjs"
import { STYLE } from "./layout_style.mjs"
import { wordsIn } from "./layout_words.mjs"

const SNAP = 6 // pixels of the page
const LEAST_SIDE = 0.02 // of the picture: the sides of a box that is resized
const MOST_SIDE = 1.9
const SETTLE = 180 // ms after the last change until letters are set anew
const SUN_REACH = 42 // pixels from the middle of the dial: where a light at the horizon is drawn
const KINDS = { logo: "Logo", badge: "Badge", "call to action": "Button" }
const CORNERS = ["nw", "ne", "se", "sw"]
const SIDES = ["n", "e", "s", "w"]

const labelOf = (control) => (control.type === "button" ? control.value : control.labels[0]?.textContent)

/** A note of the server, which begins small and ends without a full stop, as a sentence. */
const sentence = (note) => `${note.charAt(0).toUpperCase()}${note.slice(1)}${/[.!?]$/.test(note) ? "" : "."}`

export class LayoutEditor {
  /** `host`: {api, language, parts(index), read(), write(text), run(), closed()}. */
  constructor(host) {
    this.host = host
    this.say_in = wordsIn(host.language)
    this.index = 0
    this.selected = null
    this.past = []
    this.future = []
    this.letters = new Map() // role -> {key, scene, box, at, ink, color}: words that the server set anew
    this.build()
    this.renew()
    document.body.append(this.dialog)
    this.dialog.showModal()
    this.focus()
  }

  t(english, ...parts) {
    return this.say_in(english, ...parts)
  }

  // ---- the page

  build() {
    const t = this.t.bind(this)
    this.status = make("span", { role: "status", className: "status" })
    this.undoButton = button(t("Undo"), () => this.travel(this.past, this.future))
    this.redoButton = button(t("Redo"), () => this.travel(this.future, this.past))
    this.resetButton = button(t("All back to automatic"), () => this.commit({}))
    this.nextButton = button(t("Next picture"), () => {
      this.index = (this.index + 1) % (this.count || 1)
      this.renew()
    })
    this.runButton = button(t("Run"), () => this.host.run(), { className: "primary" })
    const bar = make(
      "header", {},
      make("h2", { textContent: t("Arrange") }),
      this.undoButton, this.redoButton, this.resetButton, this.nextButton, this.status,
      this.runButton, button(t("Done"), () => this.close(), { className: "done" }),
    )
    this.paper = make("div", { className: "paper" })
    this.stage = make("div", { className: "stage" }, this.paper)
    this.panel = make("div", { className: "fields" })
    this.panel.addEventListener("pointerdown", () => (this.isPressing = true))
    this.released = () => {
      this.isPressing = false
      if (this.awaitsFields) this.fieldsSoon()
    }
    for (const kind of ["pointerup", "pointercancel"]) window.addEventListener(kind, this.released, true)
    this.dial = make("div", { className: "dial", title: t("The light, seen from above: the product is in the middle.") })
    this.dialog = make("dialog", { className: "storefront-arrange", role: "dialog", "aria-modal": "true", "aria-label": t("Arrange") })
    this.dialog.append(make("style", { textContent: STYLE }), bar, make("div", { className: "body" }, this.stage, make("aside", {}, this.panel, this.dial)))
    this.dialog.addEventListener("keydown", (event) => this.pressed(event))
    for (const kind of ["keyup", "keypress", "wheel", "contextmenu", "copy", "cut", "paste"]) {
      this.dialog.addEventListener(kind, (event) => event.stopPropagation())
    }
    this.dialog.addEventListener("close", () => this.leave()) // by Escape too
    this.dialog.addEventListener("mousedown", (event) => {
      if (!event.target.closest("input, textarea, label")) event.preventDefault() // the focus stays in a control
    })
    this.stage.addEventListener("pointerdown", (event) => {
      if (event.target !== this.stage && !event.target.classList.contains("background")) return
      event.preventDefault() // the focus stays in a control
      this.select(null)
      this.runButton.focus()
    })
    this.resizing = new ResizeObserver(() => this.place())
    this.resizing.observe(this.stage)
  }

  close() {
    this.dialog.close()
    this.leave() // at once: the dialog's own event comes later, when another editor may be open
  }

  leave() {
    if (this.hasLeft) return
    this.hasLeft = true
    for (const timer of [this.settling, this.renewal, this.rebuilding]) clearTimeout(timer)
    cancelAnimationFrame(this.frameAsked)
    for (const kind of ["pointerup", "pointercancel"]) window.removeEventListener(kind, this.released, true)
    this.resizing.disconnect()
    this.dialog.remove()
    this.host.closed()
  }

  focus() {
    const item = this.elements?.get(this.selected)?.grip
    ;(item ?? this.runButton).focus()
  }

  // ---- what is shown

  get arrangement() {
    return this.draft ?? read(this.host.read())
  }

  get items() {
    return this.scene.items.map((item) => shown(item, this.arrangement))
  }

  item(role) {
    const found = this.scene.items.find((item) => item.role === role)
    return found && shown(found, this.arrangement)
  }

  name(role) {
    if (role === HEADLINE) return this.t("Headline")
    if (role === LIGHT) return this.t("Light")
    const [, kind, number] = /^(.*?)(?: (\d+))?$/.exec(role)
    if (kind !== "product") return `${this.t(KINDS[kind] ?? "Words")}${number ? ` ${number}` : ""}`
    const several = this.scene.items.filter((item) => item.kind === "product").length > 1
    return several ? this.t("Product {0}", number) : this.t("Product")
  }

  renewSoon() {
    clearTimeout(this.renewal)
    this.renewal = setTimeout(() => this.renew(), 80)
  }

  /** What the last run left, or a word that there was none. */
  renew() {
    if (this.drag) return this.renewSoon()
    const parts = this.host.parts(this.index)
    this.count = parts?.count ?? 0
    this.scene = parts && sceneOf(parts)
    this.paper.replaceChildren()
    this.paper.hidden = this.dial.hidden = !this.scene
    if (!this.scene) {
      clearTimeout(this.settling)
      this.elements = new Map()
      this.panel.replaceChildren(make("p", { textContent: this.t("Run the workflow once: then there is a picture to arrange.") }))
      this.showExample()
      this.refresh()
      this.holdFocus()
      return
    }
    this.example?.remove()
    this.example = null
    const hadFocus = this.dialog.contains(document.activeElement) && document.activeElement?.classList.contains("grip")
    this.elements = new Map()
    this.view = make("div", { className: "view" })
    this.paper.append(this.view)
    this.view.append(make("img", { className: "background", alt: "", draggable: false, src: addressOf(this.host.api, this.scene.background) }))
    for (const item of this.scene.items) this.addItem(item)
    this.safe = make("div", { className: "safe", title: this.t("Safe area: what lies outside may be covered or cut off.") })
    this.guides = make("div", { className: "guides" })
    this.frame = make("div", { className: "frame" })
    this.paper.append(this.safe, this.guides, this.frame)
    this.dial.hidden = !this.scene.items.some((item) => item.kind === "product")
    if (!this.dial.hidden) this.addSun()
    if (this.selected && !this.elements.has(this.selected)) this.selected = null
    this.place()
    if (!this.draft || !this.selected) this.fields() // what is being typed stays
    if (hadFocus) this.focus()
    else this.holdFocus()
    this.setLetters()
  }

  /** Before the first run: what the template makes, and that it is no more than an example. */
  showExample() {
    if (this.example) return
    const [first, ...others] = this.host.examples
    const picture = make("img", { alt: this.t("An example") })
    this.example = make("figure", { className: "example", hidden: true }, picture, make("figcaption", { textContent: this.t("An example. Your own picture comes with the first run.") }))
    picture.onload = () => (this.example.hidden = false)
    picture.onerror = () => {
      if (others.length) picture.src = others.shift()
    }
    if (first) picture.src = first
    this.stage.append(this.example)
  }

  addItem(item) {
    const shadow = item.shadow && make("img", { className: "shadow", alt: "", src: addressOf(this.host.api, item.shadow) })
    const source = addressOf(this.host.api, item.kind === "text" ? item.drawn?.file : item.file)
    const picture = make("img", { className: "picture", alt: "", draggable: false })
    picture.dataset.role = item.role
    if (source) picture.src = source
    else picture.hidden = true
    const grip = button("", null, { className: "grip", "aria-label": this.name(item.role) })
    grip.dataset.role = item.role
    const whole = make("div", { className: `item ${item.kind}` }, grip)
    grip.addEventListener("focus", () => this.select(item.role))
    grip.addEventListener("pointerdown", (event) => this.startMove(event, item.role, grip))
    grip.addEventListener("dblclick", () => this.panel.querySelector("textarea")?.select())
    this.elements.set(item.role, { whole, picture, shadow, grip })
    // Pictures end at the frame; what takes the pointer may lie beyond it.
    this.view.append(...[shadow, picture].filter(Boolean))
    this.paper.append(whole)
  }

  addSun() {
    const grip = button("☀", null, { className: "grip sun", "aria-label": this.t("Light") })
    grip.dataset.role = LIGHT
    grip.addEventListener("focus", () => this.select(LIGHT))
    grip.addEventListener("pointerdown", (event) => this.startSun(event, grip))
    this.elements.set(LIGHT, { whole: grip, grip })
    this.dial.replaceChildren(grip)
  }

  /** Everything at its place, in pixels of the page. */
  place() {
    if (!this.scene) return
    const room = this.stage.getBoundingClientRect()
    const pad = Math.min(48, room.width * 0.06)
    const scale = Math.min((room.width - 2 * pad) / this.scene.width, (room.height - 2 * pad) / this.scene.height)
    this.wide = Math.max(1, this.scene.width * scale)
    this.high = Math.max(1, this.scene.height * scale)
    this.paper.style.width = `${this.wide}px`
    this.paper.style.height = `${this.high}px`
    const { top, right, bottom, left } = this.scene.safe
    this.put(this.safe, { x: left, y: top, width: 1 - left - right, height: 1 - top - bottom })
    this.arrangeItems()
  }

  put(element, box, turn = "") {
    const style = element.style
    style.width = `${box.width * this.wide}px`
    style.height = `${box.height * this.high}px`
    style.transform = `translate(${box.x * this.wide}px, ${box.y * this.high}px) ${turn}`
  }

  /** Called for each frame of a gesture: moves elements, makes none. */
  arrangeItems() {
    const items = inOrder(this.items)
    const moving = new Set(willMove(this.scene, this.arrangement))
    items.forEach((item, depth) => {
      const { whole, picture, shadow } = this.elements.get(item.role)
      const box = seenBox(item, this.scene)
      const turn = `rotate(${-item.rotation}deg)`
      this.put(whole, box, turn)
      whole.style.zIndex = 2 * depth + 2
      whole.classList.toggle("waits", moving.has(item.role))
      if (item.kind === "text") {
        const drawn = this.drawnLetters(item)
        picture.hidden = !drawn
        if (drawn) this.put(picture, carried(drawn.box, drawn.at, item.box))
        picture.style.zIndex = 2 * depth + 1
        picture.classList.toggle("waits", moving.has(item.role))
        return
      }
      if (item.kind === "overlay") {
        this.put(picture, overlayAt(item, box, this.scene))
        picture.style.zIndex = 2 * depth + 1
        picture.classList.toggle("waits", moving.has(item.role))
        return
      }
      this.put(picture, box, item.flip ? `${turn} scaleX(-1)` : turn)
      picture.style.zIndex = 2 * depth + 2
      if (shadow) {
        const from = this.scene.items.find((one) => one.role === item.role)
        this.put(shadow, carried(from.shadowBox, from.box, box))
        shadow.style.zIndex = 2 * depth + 1
      }
    })
    this.putSun()
    this.putFrame()
    this.refresh()
  }

  putSun() {
    const sun = this.elements.get(LIGHT)?.grip
    if (!sun) return
    const light = this.light
    const turn = (light.azimuth * Math.PI) / 180
    const far = SUN_REACH * Math.cos((light.elevation * Math.PI) / 180)
    sun.style.transform = `translate(${Math.sin(turn) * far}px, ${-Math.cos(turn) * far}px)`
    sun.classList.toggle("by-hand", LIGHT in this.arrangement)
  }

  get light() {
    const own = this.arrangement[LIGHT]
    if (Number.isFinite(own?.azimuth) && Number.isFinite(own?.elevation)) return own
    return this.scene.lightByHand ? this.scene.automaticLight : this.scene.light
  }

  putFrame() {
    const item = this.item(this.selected)
    this.frame.hidden = !item
    if (!item) return
    if (this.framed !== this.selected || !this.frame.childElementCount) this.addHandles(item)
    const box = seenBox(item, this.scene)
    this.put(this.frame, box, `rotate(${-item.rotation}deg)`)
  }

  addHandles(item) {
    this.framed = item.role
    const names = [...CORNERS, ...({ text: SIDES, product: ["turn"] }[item.kind] ?? [])]
    const handles = names.map((name) => {
      const handle = make("div", { className: `handle ${name}` })
      handle.dataset.handle = name
      handle.addEventListener("pointerdown", (event) =>
        name === "turn" ? this.startTurn(event, item.role, handle) : this.startResize(event, item.role, name, handle),
      )
      return handle
    })
    this.frame.replaceChildren(...handles)
  }

  refresh() {
    const isIdle = !this.drag
    this.undoButton.disabled = !this.past.length
    this.redoButton.disabled = !this.future.length
    this.resetButton.disabled = !write(this.arrangement)
    this.nextButton.hidden = !(this.count > 1)
    this.nextButton.title = this.count > 1 ? this.t("Picture {0} of {1}", this.index + 1, this.count) : ""
    if (isIdle) this.tell()
  }

  /** Keys reach the graph where nothing in the dialog has the focus: a control that is switched off loses it. */
  holdFocus() {
    const held = document.activeElement
    if (held === document.body || (this.dialog.contains(held) && (held.disabled || held.hidden))) this.focus()
  }

  // ---- words to the user

  say(event) {
    this.running = event === "execution_start"
    this.failed = event === "execution_error"
    this.tell()
    if (event === "execution_success") this.renewSoon()
  }

  tell() {
    const waiting = this.scene ? willMove(this.scene, this.arrangement).map((role) => this.name(role)) : []
    const line = this.running
      ? this.t("Running…")
      : this.failed
        ? this.t("The run ended with an error. Close this window to read it.")
        : !this.scene
          ? this.t("This workflow has not run yet.")
          : this.isChanged
            ? waiting.length
              ? `${waiting.join(", ")}: ${this.t("Automatic: makes room at the next run.")}`
              : this.t("Changed. Run draws the finished picture.")
            : [this.t("As in the last run."), ...this.scene.notes.map(sentence)].join(" ")
    if (this.status.textContent !== line) this.status.textContent = line
  }

  /** Whether anything differs from what the last run had. */
  get isChanged() {
    return this.scene.arrangement !== write(this.arrangement)
  }

  select(role) {
    if (this.selected === role) return
    this.selected = role
    if (!this.scene) return
    for (const [name, { whole }] of this.elements) whole.classList.toggle("selected", name === role)
    this.putFrame()
    this.fields()
  }

  /** The panel anew; the focus stays in the control of the same label. Not while one is pressed: its click would be lost. */
  fields() {
    clearTimeout(this.rebuilding)
    this.awaitsFields = this.isPressing
    if (this.isPressing) return
    const held = this.panel.contains(document.activeElement) ? document.activeElement : null
    const label = held && labelOf(held)
    this.panel.replaceChildren(...fieldsFor(this, this.selected))
    if (!held) return
    const controls = [...this.panel.querySelectorAll("input, textarea")]
    const again = controls.find((one) => !one.disabled && labelOf(one) === label)
    if (!again) return this.focus()
    again.focus()
    if (held.tagName === "TEXTAREA") again.setSelectionRange(held.selectionStart, held.selectionEnd)
  }

  /** After the event that changed something: until then a browser has not said where the focus goes. */
  fieldsSoon() {
    clearTimeout(this.rebuilding)
    this.rebuilding = setTimeout(() => {
      if (this.scene && !this.draft) this.fields()
      this.holdFocus()
    })
  }

  // ---- changes

  /** A finished change: into the graph, and something to undo. */
  commit(next) {
    this.draft = null
    const text = write(next)
    const before = this.host.read()
    if (text !== before) {
      this.past.push(before)
      this.future = []
      this.host.write(text)
    }
    this.changedNow()
  }

  change(part, role = this.selected) {
    this.commit(changed(this.arrangement, role, part))
  }

  /** A change of one item that goes on. */
  previewItem(role, part) {
    this.preview(changed(this.arrangement, role, part))
  }

  /** A change that goes on: shown, not yet in the graph. */
  preview(next) {
    this.draft = next
    if (this.frameAsked) return
    this.frameAsked = requestAnimationFrame(() => {
      this.frameAsked = 0
      if (this.scene) this.arrangeItems()
    })
  }

  changedNow() {
    if (!this.scene) return
    this.arrangeItems()
    this.fieldsSoon()
    this.setLetters()
  }

  travel(from, to) {
    if (!from.length) return
    to.push(this.host.read())
    this.draft = null
    this.host.write(from.pop())
    this.changedNow()
  }

  resetItem(role = this.selected) {
    if (role) this.commit(reset(this.arrangement, role))
  }

  // ---- gestures

  /** Follows a pointer until it is lifted. `moved(dx, dy, event)` gets pixels of the page and previews; the end commits. */
  follow(event, element, moved) {
    if (event.button) return
    event.preventDefault()
    event.stopPropagation()
    const [x, y] = [event.clientX, event.clientY]
    element.setPointerCapture(event.pointerId)
    this.drag = { hasMoved: false }
    const move = (e) => {
      if (e.pointerId !== event.pointerId) return
      if (!this.drag.hasMoved && Math.hypot(e.clientX - x, e.clientY - y) < 3) return
      this.drag.hasMoved = true
      moved(e.clientX - x, e.clientY - y, e)
    }
    const end = (e) => {
      if (e.pointerId !== event.pointerId) return
      element.removeEventListener("pointermove", move)
      for (const kind of ["pointerup", "pointercancel"]) element.removeEventListener(kind, end)
      const { hasMoved } = this.drag
      this.drag = null
      this.guides.replaceChildren()
      if (hasMoved && e.type === "pointerup") this.commit(this.arrangement)
      else {
        this.draft = null
        this.arrangeItems()
      }
    }
    element.addEventListener("pointermove", move)
    for (const kind of ["pointerup", "pointercancel"]) element.addEventListener(kind, end)
  }

  /** What a moved item keeps beside its box: words stay flush as they were seen. */
  pinned(item, box) {
    const own = { text: { align: item.align }, product: this.poseOf(item) }[item.kind]
    return { box: rounding(box), ...own }
  }

  poseOf(item) {
    return { rotation: item.rotation || undefined, flip: item.flip || undefined, front: item.front || undefined }
  }

  startMove(event, role, grip) {
    grip.focus()
    this.select(role)
    const start = this.item(role)
    const base = this.arrangement
    const lines = linesFor(this.scene, base, role)
    this.follow(event, grip, (dx, dy, e) => {
      const box = { ...start.box, x: start.box.x + dx / this.wide, y: start.box.y + dy / this.high }
      if (e.shiftKey) Math.abs(dx) > Math.abs(dy) ? (box.y = start.box.y) : (box.x = start.box.x)
      if (!e.ctrlKey && !e.metaKey) this.snapMove(box, start, lines)
      this.preview(changed(base, role, this.pinned(start, this.kept(box))))
    })
  }

  snapMove(box, item, lines) {
    const seen = around(seenBox({ ...item, box }, this.scene), item.rotation, this.scene.width / this.scene.height)
    const across = snapped([seen.x, seen.x + seen.width / 2, seen.x + seen.width], lines.x, SNAP / this.wide)
    const down = snapped([seen.y, seen.y + seen.height / 2, seen.y + seen.height], lines.y, SNAP / this.high)
    box.x += across.by
    box.y += down.by
    this.showGuides(across.line, down.line)
  }

  showGuides(x, y) {
    const guides = []
    if (x !== null) guides.push(this.guide("x", x))
    if (y !== null) guides.push(this.guide("y", y))
    this.guides.replaceChildren(...guides)
  }

  guide(axis, at) {
    const line = make("div", { className: `guide ${axis}` })
    line.style[axis === "x" ? "left" : "top"] = `${at * 100}%`
    return line
  }

  /** A box of which a part stays on the picture. */
  kept(box) {
    const least = 0.03
    const clamp = (value, size) => Math.min(Math.max(value, least - size), 1 - least)
    return { ...box, x: clamp(box.x, box.width), y: clamp(box.y, box.height) }
  }

  startResize(event, role, name, handle) {
    const start = this.item(role)
    const base = this.arrangement
    const seen = seenBox(start, this.scene)
    const turn = (start.rotation * Math.PI) / 180
    const lines = linesFor(this.scene, base, role)
    this.follow(event, handle, (dx, dy, e) => {
      // The pointer's way along the item's own sides, in pixels of the page.
      const along = dx * Math.cos(turn) - dy * Math.sin(turn)
      const across = dx * Math.sin(turn) + dy * Math.cos(turn)
      const [wide, high] = [seen.width * this.wide, seen.height * this.high]
      let w = wide + (name.includes("e") ? along : name.includes("w") ? -along : 0)
      let h = high + (name.includes("s") ? across : name.includes("n") ? -across : 0)
      if (name.length === 2) {
        const scale = Math.min(Math.max(w / wide, h / high, LEAST_SIDE / seen.width), MOST_SIDE / seen.width, MOST_SIDE / seen.height)
        w = wide * scale
        h = high * scale
      } else {
        w = Math.min(Math.max(w, LEAST_SIDE * this.wide), MOST_SIDE * this.wide)
        h = Math.min(Math.max(h, LEAST_SIDE * this.high), MOST_SIDE * this.high)
      }
      let box = this.resized(seen, name, w, h, turn)
      if (!turn && !e.ctrlKey && !e.metaKey) box = this.snapResize(box, seen, name, lines)
      this.preview(changed(base, role, this.pinned(start, box)))
    })
  }

  /** `seen` at a new size in pixels, the opposite corner or side held where it is. */
  resized(seen, name, w, h, turn) {
    const sign = [name.includes("e") ? 1 : name.includes("w") ? -1 : 0, name.includes("s") ? 1 : name.includes("n") ? -1 : 0]
    const [grownX, grownY] = [((w - seen.width * this.wide) / 2) * sign[0], ((h - seen.height * this.high) / 2) * sign[1]]
    const x = (seen.x + seen.width / 2) * this.wide + grownX * Math.cos(turn) + grownY * Math.sin(turn)
    const y = (seen.y + seen.height / 2) * this.high - grownX * Math.sin(turn) + grownY * Math.cos(turn)
    return { x: (x - w / 2) / this.wide, y: (y - h / 2) / this.high, width: w / this.wide, height: h / this.high }
  }

  snapResize(box, seen, name, lines) {
    const edge = { x: name.includes("e") ? box.x + box.width : name.includes("w") ? box.x : null, y: name.includes("s") ? box.y + box.height : name.includes("n") ? box.y : null }
    const across = edge.x === null ? { by: 0, line: null } : snapped([edge.x], lines.x, SNAP / this.wide)
    const down = edge.y === null ? { by: 0, line: null } : snapped([edge.y], lines.y, SNAP / this.high)
    const isCorner = name.length === 2
    // A corner keeps the proportions: the nearer of two lines decides.
    const useX = across.line !== null && (!isCorner || down.line === null || across.far <= down.far)
    const useY = down.line !== null && (!isCorner || !useX)
    let [w, h] = [box.width * this.wide, box.height * this.high]
    if (useX) w += across.by * this.wide * (name.includes("e") ? 1 : -1)
    if (useY) h += down.by * this.high * (name.includes("s") ? 1 : -1)
    if (isCorner && useX) h = (w * seen.height * this.high) / (seen.width * this.wide)
    if (isCorner && useY) w = (h * seen.width * this.wide) / (seen.height * this.high)
    this.showGuides(useX ? across.line : null, useY ? down.line : null)
    return useX || useY ? this.resized(seen, name, w, h, 0) : box
  }

  startTurn(event, role, handle) {
    const start = this.item(role)
    const base = this.arrangement
    const paper = this.paper.getBoundingClientRect()
    const seen = seenBox(start, this.scene)
    const middle = { x: paper.left + (seen.x + seen.width / 2) * this.wide, y: paper.top + (seen.y + seen.height / 2) * this.high }
    const angle = (x, y) => (Math.atan2(x - middle.x, middle.y - y) * 180) / Math.PI // clockwise from the top
    const from = angle(event.clientX, event.clientY)
    this.follow(event, handle, (dx, dy, e) => {
      let rotation = start.rotation - (angle(e.clientX, e.clientY) - from)
      rotation = ((((rotation + 180) % 360) + 360) % 360) - 180
      const step = e.shiftKey ? 15 : 45
      const near = Math.round(rotation / step) * step
      if (e.shiftKey || Math.abs(rotation - near) < 3) rotation = near
      this.preview(changed(base, role, { ...this.pinned(start, seen), rotation: Math.round(rotation * 10) / 10 || undefined }))
    })
  }

  startSun(event, grip) {
    grip.focus()
    this.select(LIGHT)
    const base = this.arrangement
    const dial = this.dial.getBoundingClientRect()
    this.follow(event, grip, (dx, dy, e) => {
      const [x, y] = [e.clientX - dial.left - dial.width / 2, e.clientY - dial.top - dial.height / 2]
      const far = Math.min(1, Math.hypot(x, y) / SUN_REACH)
      const azimuth = (((Math.atan2(x, -y) * 180) / Math.PI) + 360) % 360
      this.preview({ ...base, [LIGHT]: { azimuth: Math.round(azimuth), elevation: Math.round((Math.acos(far) * 180) / Math.PI) } })
    })
  }

  // ---- keys: none of them leaves the dialog

  pressed(event) {
    event.stopPropagation()
    const key = event.key.toLowerCase()
    const isTyping = ["TEXTAREA"].includes(event.target.tagName) || ["text", "number", "range", "color"].includes(event.target.type)
    if ((event.ctrlKey || event.metaKey) && !event.altKey) {
      if (event.target.tagName === "TEXTAREA") return
      if (key === "z" || key === "y") {
        event.preventDefault()
        const isRedo = key === "y" || event.shiftKey
        this.travel(...(isRedo ? [this.future, this.past] : [this.past, this.future]))
      } else if (key === "enter") this.host.run()
      else if (["s", "g", "m", "b", "d", "p", "o"].includes(key)) event.preventDefault() // the browser's
      return
    }
    if (isTyping || !this.scene) return
    const isReset = key === "delete" || key === "backspace"
    const role = event.target.dataset?.role ?? (isReset && this.panel.contains(event.target) ? this.selected : null)
    if (!role) return
    if (isReset) {
      event.preventDefault()
      this.resetItem(role)
    } else if (key.startsWith("arrow")) {
      event.preventDefault()
      this.nudge(role, key.slice(5), event.shiftKey ? 10 : 1)
    } else if (this.item(role)?.kind === "text" && (key === "enter" || key === "f2")) {
      event.preventDefault()
      this.panel.querySelector("textarea")?.select()
    }
  }

  nudge(role, way, by) {
    const [x, y] = { left: [-by, 0], right: [by, 0], up: [0, -by], down: [0, by] }[way] ?? [0, 0]
    if (role === LIGHT) {
      const { azimuth, elevation } = this.light
      const light = { azimuth: (azimuth + x + 360) % 360, elevation: Math.min(90, Math.max(0, elevation - y)) }
      this.commit({ ...this.arrangement, [LIGHT]: light })
      return
    }
    const item = this.item(role)
    const box = { ...item.box, x: item.box.x + x / this.scene.width, y: item.box.y + y / this.scene.height }
    this.change(this.pinned(item, this.kept(box)), role)
  }

  // ---- letters, as the server sets them

  /** The names of the fonts that it has. */
  fonts() {
    this.knownFonts ??= this.askFonts().catch(() => {
      this.knownFonts = null // asked again the next time
      return []
    })
    return this.knownFonts
  }

  async askFonts() {
    const answer = await this.host.api.fetchApi("/object_info/StorefrontTextOverlay")
    const [options, more] = (await answer.json()).StorefrontTextOverlay.input.optional.font
    return (Array.isArray(options) ? options : more.options).map(String)
  }

  leanOf(item) {
    return this.arrangement[item.role]?.box ? 0.5 : item.lean
  }

  lettersKey(item) {
    const own = this.arrangement[item.role]?.color ?? ""
    const behind = this.behindWords(item.role, this.arrangement)
    return JSON.stringify([this.index, item.box, item.words, item.weight, item.align, item.font, own, this.leanOf(item), behind])
  }

  /** What stands behind the words: their colour and veil depend on it. What makes room at the next run will stand there no more. */
  behindWords(role, arrangement) {
    const moving = willMove(this.scene, this.arrangement)
    return moving.includes(role) ? [] : standingBehind(this.scene, arrangement, role, moving)
  }

  /** The picture of the words that fits best: set anew for this very box, or the one before it, stretched. */
  drawnLetters(item) {
    return item.words.trim() ? (this.lettersAnew(item.role) ?? item.drawn) : null
  }

  /** What the server set anew for what is shown, if it did. */
  lettersAnew(role) {
    const anew = this.letters.get(role)
    return anew?.scene === this.scene ? anew : null
  }

  /** Whether words are as the last run drew them. */
  areAsDrawn(item) {
    const own = this.arrangement[item.role] ?? {}
    const ran = this.scene.ran[item.role] ?? {}
    if (Boolean(own.box) !== Boolean(ran.box)) return false
    const base = this.scene.items.find((one) => one.role === item.role)
    const isAlike = (name) => (own[name] || base[name]) === (ran[name] || base[name])
    const isSame = (own.color || "") === (ran.color || "") && ["words", "weight", "align", "font"].every(isAlike)
    const behind = [this.arrangement, this.scene.ran].map((one) => JSON.stringify(this.behindWords(item.role, one)))
    return isSame && behind[0] === behind[1] && ["x", "y", "width", "height"].every((side) => Math.abs(item.box[side] - item.drawn.at[side]) < 0.5 / this.scene.width)
  }

  /** Words that are shown otherwise than they were drawn, or set anew, so far. */
  get staleWords() {
    const items = this.scene ? this.items.filter((item) => item.kind === "text" && item.drawn && item.design && item.words.trim()) : []
    return items.filter((item) => {
      if (!this.areAsDrawn(item)) return this.letters.get(item.role)?.key !== this.lettersKey(item)
      this.letters.delete(item.role)
      this.showLetters(item.role, addressOf(this.host.api, item.drawn.file))
      return false
    })
  }

  setLetters() {
    clearTimeout(this.settling)
    if (this.staleWords.length) this.settling = setTimeout(() => this.askLetters(), SETTLE)
  }

  /** One request at a time; what changed meanwhile is asked for after it. */
  async askLetters() {
    this.asksAgain = this.isAsking
    if (this.isAsking) return
    this.isAsking = true
    try {
      for (const item of this.staleWords) await this.fetchLetters(item)
    } catch {
      if (!this.hasLeft) this.status.textContent = this.t("The server does not answer: the words are shown as before.")
    }
    this.isAsking = false
    if (this.asksAgain && !this.hasLeft) this.setLetters()
  }

  async fetchLetters(item) {
    const { role } = item
    const key = this.lettersKey(item)
    const own = this.arrangement[role] ?? {}
    const { scene } = this
    const design = { ...item.design, weight: item.weight, align: item.align, offset_x: 0, offset_y: 0, color: own.color || item.design.color }
    const { x, y, width, height } = item.box
    const body = {
      width: scene.width, height: scene.height, text: item.words, font: item.font, design, box: [x, y, width, height], down: this.leanOf(item),
      color: item.planColor, align: item.align, background: scene.background,
      standing: this.behindWords(role, this.arrangement), language: this.host.language,
    }
    const answer = await this.host.api.fetchApi("/storefront/letters", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
    })
    const set = await answer.json()
    if (this.hasLeft || this.scene !== scene || this.lettersKey(this.item(role)) !== key) return
    if (!answer.ok) {
      this.status.textContent = String(set.error)
      return
    }
    const box = ([left, top, wide, high]) => ({ x: left, y: top, width: wide, height: high })
    this.letters.set(role, { key, scene, box: box(set.layer_region), at: item.box, color: set.color, ...readingOf(set) })
    this.showLetters(role, addressOf(this.host.api, set.layer))
    this.arrangeItems()
    const held = document.activeElement
    const isWriting = this.draft || (this.panel.contains(held) && ["textarea", "color", "text"].includes(held.type))
    if (this.selected === role && !isWriting) this.fields() // their colour
  }

  showLetters(role, source) {
    const { picture } = this.elements.get(role) ?? {}
    if (!picture || !source || picture.src.endsWith(source)) return
    picture.src = source
    picture.hidden = false
  }
}
