(() => {
  // Inside Airflow: follow the theme chosen there, now and when it is changed. Framed documents are told it.
  let root = null;
  try { root = parent === window ? null : parent.document.documentElement; } catch { /* framed elsewhere */ }
  const follow = () => {
    const theme = root === null ? "" : root.classList.contains("dark") ? "dark" : "light";
    document.documentElement.style.colorScheme = theme;
    for (const frame of document.querySelectorAll("iframe[data-src]")) {
      const src = `${frame.dataset.src}&theme=${theme}`;
      if (frame.getAttribute("src") !== src) frame.src = src;
    }
  };
  follow();
  addEventListener("DOMContentLoaded", follow);
  if (root) new MutationObserver(follow).observe(root, { attributes: true, attributeFilter: ["class"] });
})();
