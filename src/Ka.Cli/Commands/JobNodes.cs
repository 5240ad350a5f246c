using Ka.Core.Documents;

namespace Ka.Cli.Commands;

/// <summary>The nodes of the batch job that a command runs in, by what its scheduler put into the environment.</summary>
/// <param name="Job">For people: <c>Slurm job 48213</c>.</param>
/// <param name="Nodes">As a node set: Slurm's hostlists are node sets as they are. Null when they stand in a file.</param>
/// <param name="File">One node a line, the same node as often as it has slots.</param>
public sealed record JobNodes(string Job, string? Nodes, string? File)
{
    /// <summary>Null outside of a job. Sources: sbatch(1), oarsub(1), qsub(1).</summary>
    public static JobNodes? Find(Func<string, string?> variable)
    {
        if (variable("SLURM_JOB_NODELIST") is { Length: > 0 } nodes)
            return new JobNodes(Name("Slurm", "SLURM_JOB_ID"), nodes, null);
        if (First("OAR_NODEFILE", "OAR_NODE_FILE", "OAR_FILE_NODES") is { } oar)
            return new JobNodes(Name("OAR", "OAR_JOB_ID"), null, oar);
        return First("PBS_NODEFILE") is { } pbs ? new JobNodes(Name("PBS", "PBS_JOBID"), null, pbs) : null;

        string? First(params string[] names) => names.Select(variable).FirstOrDefault(value => value is { Length: > 0 });
        string Name(string scheduler, string id) => $"{scheduler} job {DocumentError.Cut(variable(id) ?? "")}".TrimEnd();
    }
}
