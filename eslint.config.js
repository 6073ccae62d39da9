import tseslint from 'typescript-eslint'

// Few rules, each of which has caught a real bug: a promise nobody awaits is a lost write or a crash without a cause,
// a missing switch case is a state nobody handles, and a shadowed promise in a condition is always true.
export default tseslint.config(
  { ignores: ['node_modules', 'data', 'test/fixtures'] },
  {
    files: ['**/*.ts'],
    languageOptions: { parser: tseslint.parser, parserOptions: { projectService: true } },
    plugins: { '@typescript-eslint': tseslint.plugin },
    rules: {
      '@typescript-eslint/no-floating-promises': [
        'error',
        {
          allowForKnownSafeCalls: [
            { from: 'package', package: 'node:test', name: ['test', 'describe', 'it', 'suite'] },
          ],
        },
      ],
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: false }],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/no-explicit-any': 'error',
      'no-debugger': 'error',
      'no-unsafe-finally': 'error',
    },
  },
)
