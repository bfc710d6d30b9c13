// A picture in, bars out. Pictures come from the file chooser, by drag and drop, or from the clipboard.

const $ = (id) => document.getElementById(id);
const KEY = "slim-train-key";
const KEPT_PICTURES = 12;

let pending = null; // aborts the question whose answer nobody waits for any more
let current = null; // the picture that is shown

async function ask(path, options = {}) {
  const key = sessionStorage.getItem(KEY);
  const response = await fetch(path, { ...options, headers: key ? { Authorization: `Bearer ${key}` } : {} });
  const isJson = (response.headers.get("content-type") || "").includes("json");
  const content = isJson ? await response.json() : await response.text();
  if (response.ok) return content;
  const error = new Error((content && content.error) || `The server answered ${response.status}.`);
  error.status = response.status;
  throw error;
}

function show(id) {
  for (const part of ["empty", "busy", "error", "result"]) $(part).hidden = part !== id;
  $("key-form").hidden = true;
}

function showError(error) {
  show("error");
  $("error").textContent = error.message;
  if (error.status === 401) {
    $("key-form").hidden = false;
    $("key").focus();
  }
}

function percent(score) {
  const value = 100 * score;
  if (value > 0 && value < 0.1) return "< 0.1 %";
  return `${value.toFixed(1)} %`;
}

function bar([label, score], index) {
  const item = document.createElement("li");
  const parts = ["label", "share", "track"].map((name) => {
    const part = document.createElement(name === "track" ? "div" : "span");
    part.className = name;
    item.append(part);
    return part;
  });
  parts[0].textContent = label;
  parts[1].textContent = percent(score);
  const fill = document.createElement("div");
  fill.className = "fill";
  parts[2].append(fill);
  parts[2].setAttribute("aria-hidden", "true");
  setTimeout(() => { fill.style.width = `${Math.max(100 * score, 0.5)}%`; }, 40 * index);
  return item;
}

function isPairs(answer) {
  return Array.isArray(answer) && answer.length > 0 &&
    answer.every((pair) => Array.isArray(pair) && pair.length === 2 && typeof pair[1] === "number");
}

function showAnswer(picture) {
  const { answer, seconds } = picture;
  const pairs = isPairs(answer);
  $("verdict").textContent = pairs ? answer[0][0] : "";
  $("verdict").hidden = !pairs;
  $("classes").replaceChildren(...(pairs ? answer.map(bar) : []));
  $("text").hidden = pairs;
  $("text").textContent = pairs ? "" : typeof answer === "string" ? answer : JSON.stringify(answer, null, 2);
  $("timing").textContent = `Answered in ${Math.round(1000 * seconds)} ms.`;
  show("result");
}

function showPicture(picture) {
  current = picture;
  const preview = $("preview");
  preview.hidden = false;
  $("no-preview").hidden = true;
  preview.src = picture.url;
  preview.alt = picture.name;
  $("name").textContent = picture.name;
  document.body.classList.add("shown");
  for (const button of $("thumbnails").querySelectorAll("button")) {
    button.setAttribute("aria-current", String(button.picture === picture));
  }
}

async function classify(picture) {
  if (pending) pending.abort();
  const abort = pending = new AbortController();
  showPicture(picture);
  show("busy");
  const model = $("model").value;
  const began = performance.now();
  try {
    picture.answer = await ask(model ? `service/${encodeURIComponent(model)}` : "service",
      { method: "POST", body: picture.file, signal: abort.signal });
    picture.seconds = (performance.now() - began) / 1000;
    showAnswer(picture);
    remember(picture);
  } catch (error) {
    if (error.name !== "AbortError") showError(error instanceof TypeError ? new Error("The server does not answer.") : error);
  }
}

function remember(picture) {
  const list = $("thumbnails");
  for (const button of list.querySelectorAll("button")) {
    if (button.picture === picture) button.parentElement.remove();
  }
  const button = document.createElement("button");
  const image = document.createElement("img");
  const label = document.createElement("span");
  image.src = picture.url;
  image.alt = "";
  label.textContent = isPairs(picture.answer) ? picture.answer[0][0] : picture.name;
  button.type = "button";
  button.picture = picture;
  button.title = picture.name;
  button.setAttribute("aria-current", "true");
  button.append(image, label);
  button.addEventListener("click", () => { if (pending) pending.abort(); showPicture(picture); showAnswer(picture); });
  const item = document.createElement("li");
  item.append(button);
  list.prepend(item);
  while (list.children.length > KEPT_PICTURES) {
    URL.revokeObjectURL(list.lastChild.querySelector("button").picture.url);
    list.lastChild.remove();
  }
  $("history").hidden = list.children.length < 2;
}

function take(files) {
  const file = [...files].find((candidate) => candidate.type.startsWith("image/")) || files[0];
  if (file) classify({ file, name: file.name || "Pasted picture", url: URL.createObjectURL(file) });
}

$("file").addEventListener("change", (event) => { take(event.target.files); event.target.value = ""; });
$("preview").addEventListener("error", () => { $("preview").hidden = true; $("no-preview").hidden = false; });
document.addEventListener("paste", (event) => take(event.clipboardData.files));
document.addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dragging"); });
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  take(event.dataTransfer.files);
});
$("model").addEventListener("change", () => { if (current) classify(current); });
$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, $("key").value);
  $("key").value = "";
  listModels();
  if (current) classify(current);
});

async function listModels() {
  try {
    const models = await ask("models");
    $("model").replaceChildren(...models.map(({ name }) => new Option(name, name)));
    $("model-field").hidden = models.length < 2;
    const labels = models[0].labels;
    if (models.length === 1 && labels && labels.length <= 12) {
      $("lead").textContent = `Choose a picture, drop it here or paste it. This model tells apart: ${labels.join(", ")}.`;
    }
    if (!current) show("empty");
  } catch (error) {
    showError(error);
  }
}

listModels();
