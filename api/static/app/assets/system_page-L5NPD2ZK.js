import{p as e,q as t}from"/app/assets/chunk-5QKZ5H4X.js";function o(){return e(t,{title:"System",children:"x"})}export{o as default};
