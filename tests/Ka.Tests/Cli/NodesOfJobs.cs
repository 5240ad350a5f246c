using System.CommandLine;
using Ka.Cli;
using Ka.Cli.Commands;
using Ka.Core.NodeSets;

namespace Ka.Tests.Cli;

/// <summary>Which nodes a command means that names none, inside and outside of batch jobs.</summary>
public sealed class NodesOfJobs
{
    static (string? Nodes, int Status) Read(string words, params (string Name, string Value)[] environment)
    {
        var command = new Command("deploy");
        var selection = new Selection(command, name => environment.Where(v => v.Name == name).Select(v => v.Value).FirstOrDefault());
        return (selection.Read(command.Parse(words.Split(' ', StringSplitOptions.RemoveEmptyEntries)), out var status), status);
    }

    // As 'scontrol show hostlist' of Slurm 22.05 writes them.
    [Theory]
    [InlineData("n[1-3,5]", "n1,n2,n3,n5")]
    [InlineData("n[08-11]", "n08,n09,n10,n11")]
    [InlineData("n[08-09,9-11]", "n08,n09,n9,n10,n11")]
    [InlineData("gpu1,rack2-n[001-002]", "rack2-n001,rack2-n002,gpu1")]
    [InlineData("r[1-2]-ib,login", "r1-ib,r2-ib,login")]
    public void Inside_a_Slurm_job_its_hostlist_is_read(string hostlist, string names) =>
        Assert.Equal(NodeSet.Parse(names), NodeSet.Parse(Read("", ("SLURM_JOB_NODELIST", hostlist)).Nodes!));

    [Theory]
    [InlineData("OAR_NODEFILE")]
    [InlineData("OAR_NODE_FILE")]
    [InlineData("OAR_FILE_NODES")]
    [InlineData("PBS_NODEFILE")]
    public void Inside_a_job_with_a_node_file_each_of_its_nodes_counts_once(string variable)
    {
        using var directory = new TemporaryDirectory();
        directory.Write("nodes", "gris-1\ngris-1\ngris-2\n");
        Assert.Equal("gris-[1-2]", NodeSet.Parse(Read("", (variable, directory["nodes"])).Nodes!).ToString());
    }

    [Fact]
    public void Nodes_that_are_named_are_meant_and_not_those_of_the_job()
    {
        Assert.Equal("gris-7", Read("-w gris-7", ("SLURM_JOB_NODELIST", "gris-[1-4]")).Nodes);
        Assert.Equal("gris-[1-4]!gris-2", Read("-x gris-2", ("SLURM_JOB_NODELIST", "gris-[1-4]")).Nodes);
    }

    [Fact]
    public void Outside_of_a_job_nothing_named_is_refused() => Assert.Equal((null, ExitCodes.Usage), Read("", ("SLURM_JOB_NODELIST", "")));

    [Fact]
    public void A_job_is_named_as_its_scheduler_does()
    {
        Assert.Equal("Slurm job 48213", JobNodes.Find(n => n switch { "SLURM_JOB_NODELIST" => "n1", "SLURM_JOB_ID" => "48213", _ => null })!.Job);
        Assert.Equal("PBS job 7.server", JobNodes.Find(n => n switch { "PBS_NODEFILE" => "/f", "PBS_JOBID" => "7.server", _ => null })!.Job);
        Assert.Null(JobNodes.Find(_ => null));
    }
}
