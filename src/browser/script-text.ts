/** A string as a JavaScript literal that is safe inside `<script>` too, where `</script>` and `<!--` would end or change it. */
export function literal(text: string): string {
  return JSON.stringify(text).replaceAll('<', '\\u003c')
}

export function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}
