import './styles/index.css'
import { render } from 'preact'
import { Shell } from './app/shell.tsx'
import { resumeSession } from './data/identity.ts'
import { followSystemState } from './data/system_state.ts'

const root = document.getElementById('app')
if (root === null) throw new Error('the page has no element #app')
followSystemState()
void resumeSession()
render(<Shell />, root)
