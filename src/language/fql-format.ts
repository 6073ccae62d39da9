/** FQL trees back to text, such that parsing the text gives the same tree. */
import type { Expression, Scalar } from './fql-expression.ts'

/** The text of an expression, with parentheses around every group inside another. */
export function formatFql(expression: Expression): string {
  switch (expression.kind) {
    case 'literal':
      return formatLiteral(expression.value)
    case 'list':
      return `[${expression.items.map(formatOperand).join(', ')}]`
    case 'path':
      return expression.keys.map(escapeKey).join('.')
    case 'call':
      return `${expression.name}(${expression.args.map(formatOperand).join(', ')})`
    case 'not':
      return `!${formatOperand(expression.operand)}`
    case 'and':
    case 'or':
      return expression.operands
        .map((operand) => (isGroup(operand) ? `(${formatFql(operand)})` : formatFql(operand)))
        .join(` ${expression.kind} `)
    case 'compare':
      return `${formatOperand(expression.left)} ${expression.operator} ${formatOperand(expression.right)}`
  }
}

function isGroup({ kind }: Expression): boolean {
  return kind === 'and' || kind === 'or'
}

function formatOperand(expression: Expression): string {
  const needsParentheses = isGroup(expression) || expression.kind === 'not' || expression.kind === 'compare'
  return needsParentheses ? `(${formatFql(expression)})` : formatFql(expression)
}

function formatLiteral(value: Scalar): string {
  return typeof value === 'string' ? `"${value.replace(/["\\]/g, '\\$&')}"` : String(value)
}

const keywords = new Set(['and', 'or', 'in', 'true', 'false', 'null'])

function escapeKey(key: string, index: number, keys: string[]): string {
  const escaped = key.replace(/[^A-Za-z0-9_-]/gu, '\\$&')
  // A path that looks like a keyword or a number is told apart by one escape.
  const isAmbiguous = index === 0 && (keywords.has(key) ? keys.length === 1 : /^[-\d]/.test(key))
  return isAmbiguous ? `\\${escaped}` : escaped
}
