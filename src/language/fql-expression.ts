/** The tree of an FQL expression (contract: destinations.md §8.1). */
export type Expression =
  | { kind: 'literal'; value: Scalar }
  | { kind: 'list'; items: Expression[] }
  | { kind: 'path'; keys: string[] }
  | { kind: 'call'; name: string; args: Expression[] }
  | { kind: 'not'; operand: Expression }
  | { kind: 'and' | 'or'; operands: Expression[] }
  | { kind: 'compare'; operator: ComparisonOperator; left: Expression; right: Expression }

export type Scalar = string | number | boolean | null

export const comparisonOperators = ['=', '!=', '>', '>=', '<', '<=', 'in'] as const
export type ComparisonOperator = (typeof comparisonOperators)[number]

/** Longest FQL text, in bytes of UTF-8 (contract: destinations.md §7). */
export const FQL_BYTES_MAX = 5 * 1024

/** Parentheses, lists, calls and negations inside one another. */
export const FQL_DEPTH_MAX = 100

/** The expression could not be decided for this message; the caller treats that as "not allowed through". */
export class FqlEvaluationError extends Error {
  override name = 'FqlEvaluationError'
}

/** Every path that the expression reads. */
export function pathsOf(expression: Expression): string[][] {
  switch (expression.kind) {
    case 'literal':
      return []
    case 'path':
      return [expression.keys]
    case 'list':
      return expression.items.flatMap(pathsOf)
    case 'call':
      return expression.args.flatMap(pathsOf)
    case 'not':
      return pathsOf(expression.operand)
    case 'and':
    case 'or':
      return expression.operands.flatMap(pathsOf)
    case 'compare':
      return [...pathsOf(expression.left), ...pathsOf(expression.right)]
  }
}
