/** Everything that gets into SQL text goes through one of these two; there is no other way from a name or value to SQL here. */

/** An identifier, whatever it contains. U+0000 cannot be part of one. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('\0', '\uFFFD').replaceAll('"', '""')}"`
}

/** A string literal. DuckDB knows no escapes in it but the doubled quote. */
export function quoteText(text: string): string {
  return `'${text.replaceAll('\0', '\uFFFD').replaceAll("'", "''")}'`
}

/** `"schema"."table"` in the warehouse file. */
export function quoteTable(schema: string, table: string): string {
  return `${quoteName(CATALOG)}.${quoteName(schema)}.${quoteName(table)}`
}

/** Under this name the file is attached. A schema of a source never has it (names begin with `_` only before a digit or a reserved
 *  word), so that `schema.table` in a query is never ambiguous, whatever the file is called. */
export const CATALOG = '_warehouse'
