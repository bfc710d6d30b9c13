// The routes of this server, from its own openapi.json.

const url = (path) => new URL(path, document.baseURI).href;

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

function row(path, verb, route) {
  const line = element("tr");
  const address = element("td");
  address.append(element("code", "", path));
  const meaning = element("td", "", route.summary);
  if (route.description) meaning.append(element("small", "", route.description));
  line.append(element("td", "verb", verb.toUpperCase()), address, meaning);
  return line;
}

document.getElementById("example").textContent = [
  `curl -X POST ${url("service")} -T cat.jpg`,
  `curl -X POST "${url("service")}?top_k=3" -F image=@cat.jpg`,
].join("\n");

const description = await (await fetch("openapi.json")).json();
const tables = new Map();
for (const [path, routes] of Object.entries(description.paths)) {
  for (const [verb, route] of Object.entries(routes)) {
    const tag = (route.tags || ["other"])[0];
    if (!tables.has(tag)) tables.set(tag, element("table"));
    tables.get(tag).append(row(path, verb, route));
  }
}
for (const [tag, table] of tables) document.getElementById("routes").append(element("h2", "", tag), table);
