// Pictures of the layout editor: files of ComfyUI's temp folder, the small picture in the node, colours under the words.
import { around, inOrder, meet, shown } from "./layout_scene.mjs"

/** Where the server shows a file of a node's `ui`; nothing where a stranger's value is no such file. */
export function addressOf(api, file) {
  if (typeof file === "string") return file.startsWith("data:image/webp;base64,") ? file : ""
  if (!/^[0-9a-f]{32}\.webp$/.test(file?.filename ?? "")) return ""
  return api.apiURL(`/view?${new URLSearchParams({ filename: file.filename, subfolder: "storefront", type: "temp" })}`)
}

const images = new Map()
const MOST_IMAGES = 60

/** A loaded picture; null where it is gone. */
export function imageAt(address) {
  if (!address) return Promise.resolve(null)
  if (!images.has(address)) {
    const image = new Image()
    const loaded = new Promise((resolve) => {
      image.onload = () => resolve(image)
      image.onerror = () => {
        images.delete(address)
        resolve(null)
      }
    })
    image.src = address
    images.set(address, loaded)
    if (images.size > MOST_IMAGES) images.delete(images.keys().next().value)
  }
  return images.get(address)
}

/** `part` of `from`, at the same place of `to`. */
export function carried(part, from, to) {
  const [across, down] = [to.width / from.width, to.height / from.height]
  return {
    x: to.x + (part.x - from.x) * across,
    y: to.y + (part.y - from.y) * down,
    width: part.width * across,
    height: part.height * down,
  }
}

/** What is seen of an item in its box: words all of it; a product in its own proportions, in the middle, on the ground; a logo,
 * a badge or a button in the very middle. */
export function seenBox({ kind, box, aspect }, whole) {
  if (!aspect) return box
  const [wide, high] = [box.width * whole.width, box.height * whole.height]
  const scale = Math.min(wide / aspect, high)
  const [width, height] = [(scale * aspect) / whole.width, scale / whole.height]
  const down = kind === "product" ? 1 : 0.5
  return { x: box.x + (box.width - width) / 2, y: box.y + (box.height - height) * down, width, height }
}

/** Where the picture of an overlay lies, its shadow included, that is seen in `box`. */
export function overlayAt(item, box, scene) {
  return carried(item.fileBox, scene.items.find((one) => one.role === item.role).box, box)
}

/** Where the shadow of a product lies that stands in `box`. */
function shadowAt(item, box, scene) {
  const from = scene.items.find((one) => one.role === item.role).box
  return carried(item.shadowBox, from, box)
}

/** What stands behind the words of a role, from back to front, as POST /storefront/letters takes it; without the roles `but`. */
export function standingBehind(scene, arrangement, role, but = []) {
  const items = inOrder(scene.items.map((item) => shown(item, arrangement)))
  const words = items.find((item) => item.role === role)
  if (!words) return []
  const under = items.slice(0, items.indexOf(words)).filter((item) => item.kind !== "text" && item.file && !but.includes(item.role))
  const layers = under.flatMap((item) => {
    const box = seenBox(item, scene)
    if (item.kind === "overlay") return [{ file: item.file, box: overlayAt(item, box, scene), rotation: 0, flip: false }]
    const dark = item.shadow && { file: item.shadow, box: shadowAt(item, box, scene), rotation: 0, flip: false }
    return [dark, { file: item.file, box, rotation: item.rotation, flip: item.flip }].filter(Boolean)
  })
  return layers
    .filter(({ box, rotation }) => meet(around(box, rotation, scene.width / scene.height), words.box))
    .map((layer) => ({ ...layer, box: [layer.box.x, layer.box.y, layer.box.width, layer.box.height] }))
}

/** Draws the arranged picture small, with its words or without. Resolves to whether there was a picture. */
export async function drawSmall(canvas, api, scene, arrangement, withWords = true) {
  const background = await imageAt(addressOf(api, scene.background))
  if (!background) return false
  const items = inOrder(scene.items.map((item) => shown(item, arrangement))).filter((item) => withWords || item.kind !== "text")
  const pictures = await Promise.all(
    items.map(async (item) => ({
      item,
      picture: await imageAt(addressOf(api, item.kind === "text" ? item.drawn?.file : item.file)),
      shadow: item.shadow && (await imageAt(addressOf(api, item.shadow))),
    })),
  )
  const { width, height } = canvas
  const pen = canvas.getContext("2d")
  pen.clearRect(0, 0, width, height)
  const scale = Math.min(width / scene.width, height / scene.height)
  pen.save()
  pen.translate((width - scene.width * scale) / 2, (height - scene.height * scale) / 2)
  const [wide, high] = [scene.width * scale, scene.height * scale]
  pen.beginPath()
  pen.rect(0, 0, wide, high)
  pen.clip()
  pen.drawImage(background, 0, 0, wide, high)
  for (const { item, picture, shadow } of pictures) {
    if (item.kind === "text") {
      if (!picture) continue
      const box = carried(item.drawn.box, item.drawn.at, item.box)
      pen.drawImage(picture, box.x * wide, box.y * high, box.width * wide, box.height * high)
      continue
    }
    const box = seenBox(item, scene)
    if (item.kind === "overlay") {
      const at = overlayAt(item, box, scene)
      if (picture) pen.drawImage(picture, at.x * wide, at.y * high, at.width * wide, at.height * high)
      continue
    }
    if (shadow) {
      const dark = shadowAt(item, box, scene)
      pen.drawImage(shadow, dark.x * wide, dark.y * high, dark.width * wide, dark.height * high)
    }
    if (!picture) continue
    pen.save()
    pen.translate((box.x + box.width / 2) * wide, (box.y + box.height / 2) * high)
    pen.rotate((-item.rotation * Math.PI) / 180)
    pen.scale(item.flip ? -1 : 1, 1)
    pen.drawImage(picture, (-box.width / 2) * wide, (-box.height / 2) * high, box.width * wide, box.height * high)
    pen.restore()
  }
  pen.restore()
  return true
}

/** Some pixels [[r, g, b], ...] of a canvas under a box. */
export function pixelsUnder(picture, box) {
  const canvas = document.createElement("canvas")
  canvas.width = canvas.height = 40
  const pen = canvas.getContext("2d", { willReadFrequently: true })
  const left = Math.max(0, box.x), top = Math.max(0, box.y)
  const wide = Math.min(1, box.x + box.width) - left, high = Math.min(1, box.y + box.height) - top
  if (wide <= 0 || high <= 0) return []
  const [w, h] = [picture.width, picture.height]
  pen.drawImage(picture, left * w, top * h, Math.max(1, wide * w), Math.max(1, high * h), 0, 0, 40, 40)
  const { data } = pen.getImageData(0, 0, 40, 40)
  return Array.from({ length: 1600 }, (_, index) => [...data.slice(4 * index, 4 * index + 3)])
}
