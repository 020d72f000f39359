// Buttons that copy the command before them. Without a script there are none, and the text can be selected.
"use strict";

for (const button of document.querySelectorAll("button.copy")) {
  const command = button.parentElement.querySelector("code");
  const says = (text) => {
    button.textContent = text;
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  };
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(command.textContent);
      says("copied");
    } catch {
      // No access to the clipboard: select the text, so that one key copies it.
      getSelection().selectAllChildren(command);
      says("selected");
    }
  });
}
