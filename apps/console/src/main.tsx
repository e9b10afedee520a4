import { render } from 'preact';
import { Chooser } from './parts/chooser.js';
import { Room } from './parts/room.js';
import './styles.css';
import { visitOf } from './visit.js';

const root = document.getElementById('app');
const visit = visitOf(location.search);
if (root) render(visit.kind === 'choose' ? <Chooser /> : <Room visit={visit} />, root);
