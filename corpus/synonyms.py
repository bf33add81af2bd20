"""Names that mean the same in the field, so that an unknown name is answered by meaning before spelling.

The names of a line are those of this toolkit and what other toolkits call the same thing. A name may stand in several
lines. `corpus.option.nearest` looks for the known names among them.
"""

from __future__ import annotations

_LINES = """
lr learning_rate rate max_lr peak_lr base_lr step_size peak_learning_rate
beta1 adam_beta1
beta2 adam_beta2
epsilon eps adam_epsilon adam_eps
weight_decay wd l2 decoupled_weight_decay
clip grad_clip gradient_clip gradient_clipping clip_grad max_grad_norm grad_norm
warmup warmup_steps warm_up warmup_ratio warmup_iters num_warmup_steps lr_warmup
decay decay_steps cooldown cooldown_steps lr_decay
final min_lr final_lr min_learning_rate lr_min
hold constant_steps
schedule lr_schedule scheduler lr_scheduler
optimizer optim optimiser
d_model hidden_size width hidden n_embd dim model_dim hidden_dim embedding_size embed_dim
layers num_layers n_layers n_layer depth num_hidden_layers blocks
heads num_heads n_heads n_head num_attention_heads attention_heads
n_kv_heads num_key_value_heads num_kv_heads kv_heads key_heads
head_size head_dim d_head d_kv
feed_forward d_ff ffn ffn_dim intermediate_size ffn_hidden_size mlp_size
vocabulary vocab vocab_size vocabulary_size n_vocab
vocab_size vocabulary vocab vocabulary_size n_vocab
sequence_length seq_len seq_length context context_length block_size max_length n_ctx max_seq_len n_positions window_size
tied tie_word_embeddings tie_embeddings tied_embeddings
rope_base rope_theta theta
norm_epsilon rms_norm_eps layer_norm_eps norm_eps
initialisation initialization init initializer
batch_size batch global_batch_size global_batch train_batch_size bs
micro_batch_size micro_batch microbatch per_device_batch_size per_device_train_batch_size
batch_ramp batch_rampup rampup_batch_size batch_size_warmup
steps max_steps num_steps train_steps iterations iters max_iters updates
tokens budget num_tokens train_tokens max_tokens total_tokens
max_tokens max_new_tokens num_tokens n_predict
temperature temp
top_p nucleus
precision dtype mixed_precision amp bf16 fp16
activation_checkpointing gradient_checkpointing recompute checkpoint_activations checkpointing
dropout dropout_rate dropout_prob
compile torch_compile
save_every save_steps save_interval save_freq checkpoint_every checkpoint_interval
validate_every eval_steps eval_interval eval_every
validation eval val dev valid eval_data validation_data held_out
data dataset train_data training_data
output out output_dir out_dir save_dir
keep save_total_limit keep_last languages lang
workers num_workers jobs n_jobs processes nproc
threads num_threads
device accelerator
seed random_seed random_state
overwrite force
quiet silent
memory ram max_memory
min_chars min_length min_characters min_len
min_characters min_length min_chars min_len
max_chars max_length max_characters max_len
language lang languages langs
languages lang language langs
dedup dedupe deduplicate deduplication
langid language_id lang_id lid langdetect detect_language
filter quality filters quality_filter
tokenize tokenise encode
train_tokenizer tokenizer_train train_bpe train_sentencepiece
mix blend pack
mixture mix blend weights
decontaminate decontamination contamination
split hold_out holdout
ingest read import load extract
verify check validate
status progress state
inspect show view head
run pipeline execute
clean cleanup prune
fit train pretrain
eval evaluate perplexity
generate sample complete infer
export convert
plot draw chart
settings params parameters hyperparameters
epochs passes repeats
max_epochs max_passes max_repeats
share weight proportion ratio probability
threshold cutoff min_score
domains sources datasets corpora
reader format loader
stages pipeline transforms
patterns glob globs
packing pack
shard_bytes shard_size max_shard_size
sample_bytes sample_size
"""


def _table() -> dict[str, list[str]]:
    """Of each name the others of its lines, in their order."""
    table: dict[str, list[str]] = {}
    for line in filter(None, _LINES.splitlines()):
        names = line.split()
        for name in names:
            table.setdefault(name, []).extend(other for other in names if other != name)
    return table


SYNONYMS = _table()
"""Other names of the same thing, by name."""
