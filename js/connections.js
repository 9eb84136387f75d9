import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";

// Connections are written to the server's own file and never into ComfyUI's settings: those are readable by every page
// of this server, and a key must not be.

const KOREAN = {
  "Name": "이름",
  "Address": "주소",
  "Kind": "종류",
  "Language model (OpenAI-compatible)": "언어 모델 (OpenAI 호환)",
  "Triton (FLUX on a server)": "Triton (서버의 FLUX)",
  "Model": "모델",
  "Key": "키",
  "On this machine or in its network": "이 컴퓨터나 같은 네트워크에 있음",
  "Save": "저장",
  "Remove": "삭제",
  "Saved. Press R in the editor to see it in the nodes.": "저장했습니다. 편집기에서 R을 누르면 노드에 나타납니다.",
  "Removed.": "삭제했습니다.",
  "No connection yet.": "아직 연결이 없습니다.",
  "Owner's token": "소유자 토큰",
  "Kept as it was if left empty": "비워 두면 그대로 둡니다",
};

function say(text) {
  const korean = app.ui.settings.getSettingValue("Comfy.Locale") === "ko";
  return (korean && KOREAN[text]) || text;
}

async function ask(method, name, body, token) {
  const path = "/storefront/connections" + (name === undefined ? "" : "/" + encodeURIComponent(name));
  const options = { method, cache: "no-store", headers: {} };
  if (token) options.headers["X-Storefront-Token"] = token;
  if (body) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const answer = await api.fetchApi(path, options);
  const content = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(content.error), { token: content.token });
  return content.names;
}

function field(form, label, attributes) {
  const line = document.createElement("label");
  line.style.cssText = "display:flex; justify-content:space-between; align-items:center; gap:12px";
  line.append(say(label));
  const input = document.createElement("input");
  Object.assign(input, { type: "text", autocomplete: "off", spellcheck: false }, attributes);
  if (input.type !== "checkbox") {
    input.style.cssText =
      "width:320px; padding:4px 8px; border-radius:6px; border:1px solid var(--border-color); " +
      "background:var(--comfy-input-bg); color:var(--input-text)";
  }
  line.append(input);
  form.append(line);
  return input;
}

function choice(form, label, name, options) {
  const line = document.createElement("label");
  line.style.cssText = "display:flex; justify-content:space-between; align-items:center; gap:12px";
  const select = document.createElement("select");
  select.name = name;
  select.style.cssText =
    "width:338px; padding:4px 8px; border-radius:6px; border:1px solid var(--border-color); " +
    "background:var(--comfy-input-bg); color:var(--input-text)";
  for (const [value, text] of options) select.append(new Option(say(text), value));
  line.append(say(label), select);
  form.append(line);
  return select;
}

function connections() {
  const form = document.createElement("form");
  form.className = "storefront-connections";
  form.style.cssText = "display:flex; flex-direction:column; gap:8px; min-width:440px";
  const known = document.createElement("div");
  const name = field(form, "Name", { name: "name", maxLength: 40, required: true });
  const kind = choice(form, "Kind", "kind", [
    ["chat", "Language model (OpenAI-compatible)"],
    ["triton", "Triton (FLUX on a server)"],
  ]);
  const address = field(form, "Address", {
    name: "base_url",
    type: "url",
    placeholder: "https://api.example.com/v1",
    required: true,
  });
  const model = field(form, "Model", { name: "model", required: true });
  const adapt = () => {
    const chat = kind.value === "chat";
    model.required = chat;
    model.parentElement.style.display = chat ? "flex" : "none"; // a Triton server has one model
    address.placeholder = chat ? "https://api.example.com/v1" : "http://127.0.0.1:8000";
  };
  kind.addEventListener("change", adapt);
  adapt();
  const key = field(form, "Key", {
    name: "key",
    type: "password",
    autocomplete: "new-password",
    placeholder: say("Kept as it was if left empty"),
  });
  const nearby = field(form, "On this machine or in its network", { name: "allow_private", type: "checkbox" });
  // Asked for only where this page is open on another machine than the server's. It is kept nowhere.
  const token = field(form, "Owner's token", { name: "token", type: "password", autocomplete: "off" });
  token.parentElement.style.display = "none";
  const buttons = document.createElement("div");
  buttons.style.cssText = "display:flex; gap:8px; justify-content:flex-end; align-items:center";
  const message = document.createElement("span");
  message.setAttribute("role", "status");
  message.style.cssText = "flex:1; font-size:0.9em";
  const save = document.createElement("button");
  Object.assign(save, { type: "submit", textContent: say("Save"), className: "p-button p-component" });
  const remove = document.createElement("button");
  Object.assign(remove, {
    type: "button",
    textContent: say("Remove"),
    className: "p-button p-component p-button-secondary",
  });
  for (const button of [remove, save]) button.style.cssText = "padding:6px 14px; border-radius:6px; cursor:pointer";
  buttons.append(message, remove, save);
  form.append(buttons);
  form.prepend(known);

  const show = (names) => {
    known.textContent = names.length ? names.join(" · ") : say("No connection yet.");
  };
  const attempt = async (done, text) => {
    try {
      show(await done());
      message.textContent = text ? say(text) : "";
    } catch (error) {
      message.textContent = error.message;
      if (error.token) token.parentElement.style.display = "flex";
    } finally {
      key.value = "";
    }
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const body = { base_url: address.value.trim(), kind: kind.value, allow_private: nearby.checked };
    if (kind.value === "chat") body.model = model.value.trim();
    if (key.value) body.key = key.value;
    attempt(() => ask("PUT", name.value.trim(), body, token.value.trim()), "Saved. Press R in the editor to see it in the nodes.");
  });
  remove.addEventListener("click", () => {
    if (name.reportValidity()) attempt(() => ask("DELETE", name.value.trim(), undefined, token.value.trim()), "Removed.");
  });
  form.addEventListener("keydown", (event) => event.stopPropagation()); // or the editor takes letters for shortcuts
  attempt(() => ask("GET"));
  return form;
}

app.registerExtension({
  name: "Storefront.Connections",
  settings: [
    {
      id: "Storefront.Connections",
      name: "Servers",
      category: ["Storefront", "Connections", "Servers"],
      tooltip: "For prompts (OpenAI-compatible) and for pictures (Triton). The key goes to the server's own file and is never shown again.",
      type: connections,
      defaultValue: null,
    },
  ],
});
