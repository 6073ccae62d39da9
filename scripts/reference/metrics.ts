import { globSync, readFileSync } from 'node:fs'
import ts from 'typescript'
import { code, page, table } from './markdown.ts'

interface Metric {
  name: string
  kind: string
  labels: string[]
  help: string
}

/** Lists the metrics that the sources define: each `new Counter`, `new Gauge` or `new Histogram`, also inside a small function
 *  that is called with the end of the name and the help. */
export function metricsPage(root: string): string {
  const metrics = globSync('src/**/*.ts', { cwd: root })
    .filter((file) => !file.endsWith('.test.ts'))
    .flatMap((file) => metricsOf(file, readFileSync(`${root}/${file}`, 'utf8')))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
  return page(
    'Metrics',
    'the metric definitions in src/',
    '`GET /metrics` answers in the Prometheus text format, for all processes of the installation. Every metric carries the label `process` (`gateway`, `pipeline`, `delivery`, `loader`, `control`).',
    table(
      ['Metric', 'Kind', 'Labels', 'What it says'],
      metrics.map(({ name, kind, labels, help }) => [code(name), kind, labels.map(code).join(', '), help]),
    ),
    'Each process also exports the usual figures of Node (memory, event loop, file descriptors) under names that begin with `tributary_process_` and `tributary_nodejs_`.',
  )
}

function metricsOf(file: string, text: string): Metric[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true)
  return descendants(source)
    .filter((node) => ts.isNewExpression(node))
    .filter((node) => /^(Counter|Gauge|Histogram)$/.test(node.expression.getText()))
    .flatMap((node) => {
      const found = metricsMadeBy(node)
      if (found.length > 0) return found
      // A name that is put together elsewhere could not be found by whoever searches the sources for it either.
      const { line } = source.getLineAndCharacterOfPosition(node.getStart())
      throw new Error(`${file}:${line + 1}: write the name and the help of a metric as strings where it is made`)
    })
}

function metricsMadeBy(node: ts.NewExpression): Metric[] {
  const kind = node.expression.getText().toLowerCase()
  const labels = listOf(propertyOf(node, 'labelNames'))
  const [name, help] = [propertyOf(node, 'name'), propertyOf(node, 'help')]
  if (name === undefined || help === undefined) return []
  const maker = enclosingFunction(node)
  const bindings = isWritten(name) && isWritten(help) ? [new Map<string, ts.Expression>()] : bindingsOf(maker)
  return bindings.flatMap((values) => {
    const [nameText, helpText] = [textOf(name, values), textOf(help, values)]
    return nameText === undefined || helpText === undefined ? [] : [{ name: nameText, help: helpText, kind, labels }]
  })
}

/** For each call of the function in its file: what its parameters are. */
function bindingsOf(maker: ts.ArrowFunction | ts.FunctionDeclaration | undefined): Map<string, ts.Expression>[] {
  if (maker === undefined) return []
  const name = ts.isVariableDeclaration(maker.parent) ? maker.parent.name.getText() : maker.name?.getText()
  return descendants(maker.getSourceFile())
    .filter((node) => ts.isCallExpression(node))
    .filter((call) => call.expression.getText() === name)
    .map(
      (call) =>
        new Map(
          maker.parameters.flatMap(({ name }, i) => {
            const argument = call.arguments[i]
            return argument === undefined ? [] : [[name.getText(), argument]]
          }),
        ),
    )
}

function enclosingFunction(node: ts.Node): ts.ArrowFunction | ts.FunctionDeclaration | undefined {
  return ts.findAncestor(node, (each) => ts.isArrowFunction(each) || ts.isFunctionDeclaration(each))
}

/** The value of a property of the object that a constructor is given, `help` in short form included. */
function propertyOf(node: ts.NewExpression, name: string): ts.Expression | undefined {
  const options = node.arguments?.[0]
  if (options === undefined || !ts.isObjectLiteralExpression(options)) return undefined
  const property = options.properties.find((each) => each.name?.getText() === name)
  if (property === undefined) return undefined
  if (ts.isShorthandPropertyAssignment(property)) return property.name
  return ts.isPropertyAssignment(property) ? property.initializer : undefined
}

function isWritten(node: ts.Expression): boolean {
  return ts.isStringLiteralLike(node)
}

/** The text of a string, a parameter, or a template of both. */
function textOf(node: ts.Expression, values: Map<string, ts.Expression>): string | undefined {
  if (ts.isStringLiteralLike(node)) return node.text
  if (ts.isIdentifier(node)) {
    const value = values.get(node.text)
    return value === undefined ? undefined : textOf(value, new Map())
  }
  if (!ts.isTemplateExpression(node)) return undefined
  const spans = node.templateSpans.map(({ expression, literal }) => [textOf(expression, values), literal.text])
  return spans.some(([text]) => text === undefined) ? undefined : node.head.text + spans.flat().join('')
}

function listOf(node: ts.Expression | undefined): string[] {
  if (node !== undefined && ts.isIdentifier(node)) {
    const declaration = descendants(node.getSourceFile())
      .filter((each) => ts.isVariableDeclaration(each))
      .find(({ name }) => name.getText() === node.text)
    return listOf(declaration?.initializer)
  }
  if (node === undefined || !ts.isArrayLiteralExpression(node)) return []
  return node.elements.filter((element) => ts.isStringLiteralLike(element)).map(({ text }) => text)
}

function descendants(node: ts.Node): ts.Node[] {
  const found: ts.Node[] = [node]
  ts.forEachChild(node, (child) => void found.push(...descendants(child)))
  return found
}
