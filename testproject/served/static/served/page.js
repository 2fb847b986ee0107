// What do the addresses answer? Without this script the links and buttons lead to the answers themselves.

const answer = document.getElementById("answer");

async function refresh() {
  const response = await fetch("/requests");
  if (response.ok) document.getElementById("requests").innerHTML = await response.text();
}

async function show(title, url, options) {
  try {
    const response = await fetch(url, options);
    const text = (await response.text()).slice(0, 160);
    const node = response.headers.get("X-GMF-Database") || "not named";
    answer.textContent = `${title}\n${response.status} ${response.statusText}\nX-GMF-Database: ${node}\n${text}…`;
  } catch (error) {
    answer.textContent = `${title}\n${error.message}`;
  }
  await refresh();
}

document.querySelector(".try").addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  show(link.textContent, link.href);
});
document.querySelector(".try").addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  const body = form.enctype === "text/plain" ? form.elements.json.value : new URLSearchParams(new FormData(form));
  show(form.querySelector("button").textContent, form.action, {method: "POST", body});
});
setInterval(() => document.hidden || refresh().catch(() => {}), 3000);
