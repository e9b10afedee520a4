import '@humancast/element/define';
import { render } from 'preact';
import { Chooser } from './parts/chooser.js';
import { ConversationPage } from './parts/conversation-page.js';
import './styles.css';
import { visitOf } from './visit.js';

const root = document.getElementById('app');
const visit = visitOf(location.search);
if (!root) throw new Error('the page has no element #app');
if (new URLSearchParams(location.search).has('operate')) {
  // Loads the charts for operators only.
  const { OperatorPage } = await import('./operator/operator-page.js');
  render(<OperatorPage />, root);
} else render(visit.kind === 'choose' ? <Chooser /> : <ConversationPage visit={visit} />, root);
