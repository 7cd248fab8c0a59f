import{p as e,q as t}from"/app/assets/chunk-5QKZ5H4X.js";function a(){return e(t,{title:"Markets",children:"x"})}export{a as default};
