// Before anything is painted: the theme that was chosen here before.
try {
  const chosen = localStorage.getItem("salver-theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
} catch {}
