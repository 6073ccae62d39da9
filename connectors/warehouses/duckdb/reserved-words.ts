/** Words that need quotes as a name: reserved in DuckDB 1.5 (`duckdb_keywords()`) or in PostgreSQL 18 (appendix C), whose tools read
 *  this file too; and DuckDB's own schemas and catalogs. A column so named gets the prefix `_`, so that nobody needs quotes. */
export const reservedWords: ReadonlySet<string> = new Set(
  `all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation column
  concurrently constraint create cross current_catalog current_date current_role current_schema current_time current_timestamp
  current_user default deferrable desc describe distinct do else end except false fetch for foreign freeze from full grant
  group having ilike in information_schema initially inner intersect into is isnull join lambda lateral leading left like
  limit localtime localtimestamp main natural not notnull null offset on only or order outer overlaps pg_catalog pivot
  pivot_longer pivot_wider placing primary qualify references returning right select session_user show similar some summarize
  symmetric system_user table tablesample temp then to trailing true union unique unpivot user using variadic verbose when
  where window with`.split(/\s+/),
)
