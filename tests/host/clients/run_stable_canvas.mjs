// Bundled API files through @stable-canvas/comfyui-client: `node run_stable_canvas.mjs HOST:PORT FILE ...`
// prints a line of JSON for each file: the addresses of its pictures, or its error.
import {readFileSync} from "node:fs"
import {Client} from "@stable-canvas/comfyui-client"

const [host, ...files] = process.argv.slice(2)
const client = new Client({api_host: host, WebSocket, fetch})
await client.connect()
for (const file of files) {
  try {
    const {images} = await client.enqueue(JSON.parse(readFileSync(file, "utf-8")))
    console.log(JSON.stringify({pictures: images.map((image) => image.data)}))
  } catch (error) {
    console.log(JSON.stringify({error: String(error.message ?? error)}))
  }
}
client.close()
process.exit(0)
