// Draws the figures when they come into view, sorts the table, copies commands.
"use strict";

const figures = JSON.parse(document.getElementById("figures").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");
const drawn = new Set();

async function loadPlotly() {
  const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent), (letter) =>
    letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);
}

// "var(--ink)" anywhere in a figure becomes the colour that page.css has for it now.
function coloured(part, style) {
  if (typeof part === "string") {
    const name = /^var\((--[a-z]+)\)$/.exec(part);
    return name ? style.getPropertyValue(name[1]).trim() : part;
  }
  if (Array.isArray(part)) return part.map((each) => coloured(each, style));
  if (part === null || typeof part !== "object") return part;
  return Object.fromEntries(Object.entries(part).map(([key, value]) => [key, coloured(value, style)]));
}

function template() {
  const line = { gridcolor: "var(--grid)", linecolor: "var(--faint)", zeroline: false,
    automargin: true, title: { standoff: 8 } };
  return { layout: {
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: "var(--ink)" },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 56, r: 16, t: 12, b: 44 }, showlegend: false,
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
    hoverlabel: { align: "left" },
    xaxis: line, yaxis: line, coloraxis: { colorbar: { outlinewidth: 0 } } } };
}

function draw(element) {
  drawn.add(element);
  const style = getComputedStyle(document.documentElement);
  const { traces, layout } = figures[element.id];
  const whole = coloured({ traces, layout: { ...layout, template: template() } }, style);
  Plotly.react(element, whole.traces, whole.layout,
    { responsive: true, displaylogo: false, displayModeBar: false });
}

function sortBy(header) {
  const table = header.closest("table");
  const column = [...header.parentNode.children].indexOf(header);
  const down = header.getAttribute("aria-sort") === "ascending";
  const key = (row) => row.children[column].dataset.value ?? row.children[column].textContent;
  const compare = (a, b) => {
    const [left, right] = [key(a), key(b)];
    if (left === "" || right === "") return (left === "") - (right === "");
    const numbers = [Number(left), Number(right)];
    const order = numbers.some(Number.isNaN) ? left.localeCompare(right) : numbers[0] - numbers[1];
    return down ? -order : order;
  };
  for (const other of header.parentNode.children) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", down ? "descending" : "ascending");
  table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
}

for (const header of document.querySelectorAll("table.trials th")) {
  header.querySelector("button").addEventListener("click", () => sortBy(header));
}
for (const button of document.querySelectorAll(".copy")) {
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.nextElementSibling.textContent);
    button.textContent = "copied";
  });
}

async function show() {
  const places = [...document.querySelectorAll(".plot")];
  if (!places.length) return;
  await loadPlotly();
  const observer = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting && !drawn.has(entry.target)) draw(entry.target);
    }
  }, { rootMargin: "400px" });
  places.forEach((place) => observer.observe(place));
  dark.addEventListener("change", () => drawn.forEach(draw));
  addEventListener("beforeprint", () => places.forEach(draw));
}

show().catch((error) => {
  for (const place of document.querySelectorAll(".plot")) {
    place.textContent = `This browser cannot draw the figure: ${error}`;
  }
});
